"""A request answered by an engine: its key is the command's, so a repeat gets the first outcome."""

from __future__ import annotations

from typing import Any, TypeVar, overload

from sagakit.core.messages import Message
from sagakit.engine.engine import Engine
from sagakit.transports.grpc.answering.incoming import current

_E = TypeVar("_E", bound=Message)
_E1 = TypeVar("_E1", bound=Message)
_E2 = TypeVar("_E2", bound=Message)

PATIENCE = 30.0
"""Seconds that a request without a deadline waits."""
_MARGIN = 0.05
"""Seconds before its deadline at which a caller is told that it is not done yet."""


@overload
async def ask(engine: Engine, command: Message, context: Any, *, until: type[_E], digest: str | None = ...) -> _E: ...
@overload
async def ask(
    engine: Engine, command: Message, context: Any, *, until: tuple[type[_E1], type[_E2]], digest: str | None = ...
) -> _E1 | _E2: ...
async def ask(engine: Engine, command: Message, context: Any, *, until: Any, digest: str | None = None) -> Any:
    """Send a command for the request that is being answered, and wait for what it leads to, as long as the caller does.

    The request's idempotency key and trace go with it: a repeat is the same command, and gets the same outcome, after
    a crash too. `context`: what gRPC gives with the request. `digest`: of the request, where the command is not the
    same at each repeat (it has a time in it, say). Raises what `Engine.send_and_wait` raises.
    """
    incoming, left = current(), context.time_remaining()
    return await engine.send_and_wait(
        command,
        until=until,
        timeout=PATIENCE if left is None else max(left - _MARGIN, 0),
        idempotency_key=incoming.idempotency_key,
        digest=digest,
        trace=incoming.trace,
    )
