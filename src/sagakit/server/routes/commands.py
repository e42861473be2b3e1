"""Commands over HTTP: `POST /api/v1/commands/{name}` with the command's fields as JSON."""

from __future__ import annotations

from datetime import datetime
from hashlib import blake2b
from typing import Annotated, Any, TypeAlias

import msgspec
from litestar import Request, Response, post
from litestar.exceptions import ClientException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter
from msgspec import Struct

from sagakit.core.codec import Codec
from sagakit.engine.engine import Engine
from sagakit.errors import UnknownMessage, WaitTimeout
from sagakit.idempotency import FastPath
from sagakit.server.bodies import check_type, expected_version
from sagakit.server.keys import Once, idempotency_key
from sagakit.server.links import link
from sagakit.server.prefer import applied, preferred_wait
from sagakit.server.routes.answers import COMMAND
from sagakit.server.showing.events import EventView, event_view
from sagakit.server.trace import traceparent

PATH = "/api/v1/commands"
TIME: dict[str, Any] = {"format": "date-time"}
Aware: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]


class Accepted(Struct):
    """A command that is durable. `outcome`: what it led to, where the client waited for that and it came."""

    message_id: str
    correlation_id: str
    outcome: EventView | None = None


class _Receipt(Struct):
    """What is kept of an answer: the rest is looked up."""

    message_id: str
    correlation_id: str


_encode = msgspec.json.encode
_decode = msgspec.json.Decoder(_Receipt).decode


def commands(engine: Engine, fast: FastPath | None = None) -> list[HTTPRouteHandler]:
    """The route. Its answer, 202, follows the commit: the command is durable, and will be handled.

    With `Prefer: wait=N` it is 200 once the command has led to an event.
    """
    topology = engine.topology
    once = Once(PATH, engine, fast)

    @post(f"{PATH}/{{name:str}}", status_code=202, responses=COMMAND, summary="Send a command", tags=["commands"])
    async def send_command(
        request: Request[Any, Any, Any],
        name: FromPath[str],
        after: Annotated[float | None, QueryParameter(ge=0, le=10**9, description="In so many seconds.")] = None,
        at: Annotated[
            str | None, QueryParameter(description="Handle it then; with its offset from UTC.", schema_extra=TIME)
        ] = None,
    ) -> Response[Accepted]:
        check_type(request)
        codec = topology.codecs.named(name)
        if codec.cls not in topology.commands:
            raise UnknownMessage(f"nobody handles the command {name!r}")
        time = _time(after, at)
        body = await request.body()
        command, key, version = codec.decode(body), idempotency_key(request), expected_version(request)

        async def accept() -> bytes:
            receipt = await engine.send(
                command,
                idempotency_key=key,
                expected_version=version,
                trace=traceparent(request),
                after=after,
                at=time,
            )
            return _encode(_Receipt(receipt.message_id, receipt.correlation_id))

        digest = blake2b(body, digest_size=16).hexdigest()
        receipt = _decode(await once.answer(codec.cls, key, digest, accept))
        wait = None if after is not None or at is not None else preferred_wait(request)
        outcome = await _outcome(engine, codec, receipt, wait)
        answer = Accepted(receipt.message_id, receipt.correlation_id, outcome)
        headers = {"Location": link(request, f"/api/v1/stories/{receipt.correlation_id}"), **applied(wait)}
        return Response(answer, status_code=202 if outcome is None else 200, headers=headers)

    return [send_command]


async def _outcome(engine: Engine, codec: Codec, receipt: _Receipt, wait: int | None) -> EventView | None:
    """What the command led to; None if that does not come in time, or nobody waits. Raises Refused, OutcomeUnknown."""
    until = tuple(engine.topology.around.outcomes.get(codec.cls, ()))
    if wait is None or not until:
        return None
    try:
        wanted: Any = until  # as many classes as there are: its overloads know one and two
        event: Any = await engine.wait(until=wanted, correlation_id=receipt.correlation_id, timeout=wait)
    except WaitTimeout:
        return None
    return event_view(event, engine.topology.codecs)


def _time(after: float | None, at: str | None) -> datetime | None:
    if at is None:
        return None
    if after is not None:
        raise ClientException("after and at: choose one")
    try:
        return msgspec.convert(at, Aware)
    except msgspec.ValidationError as error:
        raise ClientException(f"at: {at[:40]!r} ({error}): write 2026-12-31T23:00:00Z") from error
