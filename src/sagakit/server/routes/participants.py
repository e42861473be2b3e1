"""The answers of participants over HTTP: `POST /api/v1/commands/{id}/answer`, at the URL that they were given."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response, post
from litestar.exceptions import ClientException, NotAuthorizedException, NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from msgspec import Struct

from sagakit.engine.engine import Engine
from sagakit.server.keys import idempotency_key
from sagakit.server.routes.answers import problems
from sagakit.server.trace import traceparent
from sagakit.transports.http.callbacks import Callbacks

PATH = "/api/v1/commands/{command_id:str}/answer"
TYPES = frozenset({"application/json", "application/cloudevents+json"})


class EventBody(Struct):
    """An event by its name on the wire, and its fields."""

    type: str
    data: msgspec.Raw = msgspec.Raw(b"{}")


class AnswerBody(Struct):
    """What a command has led to: one event (`type` and `data`, as CloudEvents has them), several or none, a failure."""

    type: str = ""
    data: msgspec.Raw = msgspec.Raw(b"{}")
    events: list[EventBody] | None = None
    """Of none, it has led to nothing: it was not done."""
    failed: str | None = None
    """Why it could not be done."""
    known_not_done: bool = False
    id: str = ""
    """Of this answer: the same when it is sent again. The header `Idempotency-Key` goes before it."""


class Taken(Struct):
    """An answer that is durable. `repeated`: it had come before."""

    message_id: str
    correlation_id: str
    repeated: bool


def participants(engine: Engine) -> list[HTTPRouteHandler]:
    """The route. It is there where `Callbacks` are provided; whoever has the URL of a command may answer that one."""

    @post(
        PATH,
        status_code=200,
        responses=problems(400, 401, 404, 409, 413, 415, 422, 503),
        summary="Answer a command that was handed over",
        tags=["commands"],
    )
    async def answer_command(
        request: Request[Any, Any, Any],
        command_id: FromPath[str],
        story: FromQuery[str] = "",
        token: FromQuery[str] = "",
    ) -> Response[Taken]:
        callbacks = engine.provided(Callbacks)
        if callbacks is None:
            raise NotFoundException("no answers are taken here")
        if not callbacks.permits(command_id, story, token):
            raise NotAuthorizedException("this URL is not one that was given out for this command")
        answer = await _body(request)
        told = [EventBody(answer.type, answer.data)] if answer.type else answer.events or ()
        events = [engine.decode(one.type, bytes(one.data)) for one in told]
        receipt = await engine.answer(
            command_id,
            *events,
            correlation_id=story,
            failed=answer.failed,
            known_not_done=answer.known_not_done,
            source=f"http/{command_id}",  # a participant's keys need be its own for each command only
            message_id=idempotency_key(request) or answer.id or None,
            trace=traceparent(request),
        )
        return Response(Taken(receipt.message_id, receipt.correlation_id, receipt.repeated))

    return [answer_command]


async def _body(request: Request[Any, Any, Any]) -> AnswerBody:
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent not in TYPES:
        raise ClientException(f"the Content-Type is {sent[:80]!r}: send application/json")
    try:
        answer = msgspec.json.decode(await request.body(), type=AnswerBody)
    except msgspec.MsgspecError as error:
        raise ClientException(f"the body: {error}") from None
    if sum((bool(answer.type), answer.events is not None, answer.failed is not None)) != 1:
        raise ClientException("the body: send an event (type and data), events, or failed: one of them")
    return answer
