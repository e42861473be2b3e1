"""A step's command as one call of a service: `payments.handles(...)(unary(PaymentStub, "Charge", ...))`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Coroutine
from typing import Any, TypeAlias, TypeVar

import grpc
import grpc.aio

from sagakit.core.messages import Message
from sagakit.engine.handlers.context import Context
from sagakit.transports.calling import calling as span_of
from sagakit.transports.grpc.calling.outcomes import outcomes_of
from sagakit.transports.grpc.calling.stubs import service_of
from sagakit.transports.grpc.metadata import Metadata, as_mapping, sent_with
from sagakit.transports.grpc.status import RETRYABLE, CallRejected, failure_of

_S = TypeVar("_S")
_C = TypeVar("_C", bound=Message)
_R = TypeVar("_R")
_E = TypeVar("_E", bound=Message)

Response: TypeAlias = Callable[[_R, _C], _E] | Callable[[_R, _C, Metadata], _E]
Refused: TypeAlias = Callable[[CallRejected, _C], _E | None]
Extra: TypeAlias = Callable[[_C], Metadata]

PATIENCE = 30.0
"""Seconds for one call where its handler declares no timeout: a service that hangs holds no step for ever."""


def unary(  # noqa: PLR0913 (options, by name)
    stub: type[_S],
    method: str,
    *,
    command: type[_C],
    request: Callable[[_C], Any],
    response: Response[_R, _C, _E],
    refused: Refused[_C, _E] | None = None,
    outcomes: tuple[type[_E], ...] = (),
    metadata: Extra[_C] | None = None,
    retryable: Collection[grpc.StatusCode] = RETRYABLE,
    name: str = "",
) -> Callable[[_C, _S, Context], Coroutine[Any, Any, _E]]:
    """A handler of `command` that calls a unary method of a generated stub; a provider gives the stub.

    `request` makes the request of the command; `response` the outcome of the answer, the command and, if it takes a
    third, the trailing metadata. Its return annotation names the outcomes; a lambda has none: `outcomes` does then.
    `refused` makes a declared refusal of a status that is not `retryable`, or None: then the outcome is unknown.
    `metadata`: what is sent along beside the ids. `name`: of the handler; else that of the method, in lower case.
    """
    service, answers = service_of(stub, method), _with_metadata(response)
    said = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}

    async def call(command: Any, stub: Any, context: Context) -> Any:
        with span_of(context, f"{service}/{method}", said):
            return await made(command, stub, context)

    async def made(command: Any, stub: Any, context: Context) -> Any:
        sent = [*sent_with(context), *(metadata(command).items() if metadata else ())]
        deadline = PATIENCE if context.timeout is None else context.timeout
        calling = getattr(stub, method)(request(command), timeout=deadline, metadata=tuple(sent))
        try:
            reply = await calling  # who is cancelled meanwhile cancels the call
        except grpc.aio.AioRpcError as error:
            failure = failure_of(error, retryable)
            outcome = refused(failure, command) if refused and isinstance(failure, CallRejected) else None
            if outcome is None:
                raise failure from None
            return outcome
        return answers(reply, command, await _trailing(calling))

    call.__name__ = call.__qualname__ = name or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", method).lower()
    call.__annotations__ = {
        "command": command,
        "stub": stub,
        "context": Context,
        "return": outcomes_of(f"{stub.__name__}.{method}", outcomes, response, refused),
    }
    return call


def _with_metadata(response: Any) -> Callable[[Any, Any, Metadata], Any]:
    if len(inspect.signature(response).parameters) > 2:
        return response
    return lambda reply, command, _: response(reply, command)


async def _trailing(calling: Any) -> Metadata:
    """What came after the answer; nothing from a stub that a test has made."""
    trailing = getattr(calling, "trailing_metadata", None)
    return {} if trailing is None else as_mapping(await trailing())
