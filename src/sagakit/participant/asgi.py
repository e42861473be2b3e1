"""A participant over HTTP: an ASGI app that takes commands and answers with their outcomes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

import msgspec
import structlog

from sagakit.core.codec import MEBIBYTE
from sagakit.core.participation.messages import Reply, Request
from sagakit.errors import InvalidMessage, UnknownMessage
from sagakit.participant.participant import Participant

Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MOST = 2 * MEBIBYTE
LONGEST = 255
"""Characters of an id."""
DIGITS = 9
"""Of a version."""

_log = structlog.get_logger("sagakit.participant")


def asgi(participant: Participant) -> Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]:
    """An app that takes `POST` with a command as JSON, at any path; `sagakit.transports.http.remote` sends so.

    The headers say which: `X-Message-Id`, `X-Message-Type`, `X-Message-Version` (1 without it), `X-Correlation-Id`,
    `X-Undoes`, `traceparent`. 200 is an answer, also of a command that failed; anything else is none. The participant
    is opened by whoever runs the app.
    """

    async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        status, told = await _handled(participant, scope, receive)
        headers = [(b"content-type", b"application/json")]
        if status == 503:
            headers.append((b"retry-after", b"1"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": msgspec.json.encode(told)})

    return app


async def _handled(
    participant: Participant, scope: MutableMapping[str, Any], receive: Receive
) -> tuple[int, Reply | dict[str, str]]:
    request = await _request(scope, receive)
    if not isinstance(request, Request):
        return request
    try:
        return 200, await participant.handle(request)
    except UnknownMessage as error:
        return 404, {"error": str(error)}
    except InvalidMessage as error:
        return 400, {"error": str(error)}
    except Exception as error:  # the handler's: no answer, the command comes again
        _log.warning("no answer", type=request.type, id=request.id, error=f"{type(error).__name__}: {error}")
        return 503, {"error": "not now: send it again"}


async def _request(scope: MutableMapping[str, Any], receive: Receive) -> Request | tuple[int, dict[str, str]]:
    """The command that a request carries, or why it is none."""
    if scope["method"] != "POST":
        return 405, {"error": "send POST"}
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    id, name = headers.get("x-message-id", ""), headers.get("x-message-type", "")
    if not 0 < len(id) <= LONGEST or not name:
        return 400, {"error": "X-Message-Id and X-Message-Type: send both"}
    version = headers.get("x-message-version", "1")
    if not (version.isascii() and version.isdigit() and len(version) <= DIGITS and int(version)):
        return 400, {"error": "X-Message-Version: send a number from 1"}
    body = await _body(receive)
    if body is None:
        return 413, {"error": f"at most {MOST} bytes"}
    return Request(
        id=id,
        type=name,
        payload=body,
        version=int(version),
        correlation_id=headers.get("x-correlation-id", ""),
        causation_id=headers.get("x-causation-id"),
        undoes=headers.get("x-undoes"),
        trace=headers.get("traceparent"),
        metadata=headers,
    )


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None if it is too large."""
    read = bytearray()
    while True:
        part = await receive()
        read += part.get("body", b"")
        if len(read) > MOST:
            return None
        if not part.get("more_body", False):
            return bytes(read)
