"""Commands over HTTP: `POST /api/v1/commands/{name}` with the command's fields as JSON."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response, post
from litestar.exceptions import ClientException
from litestar.handlers import HTTPRouteHandler

from sagakit.engine.engine import Engine
from sagakit.errors import UnknownMessage
from sagakit.server.keys import idempotency_key
from sagakit.server.trace import traceparent


def commands(engine: Engine) -> HTTPRouteHandler:
    """The route. Its answer, 202, follows the commit: the command is durable, and will be handled."""
    topology = engine.topology

    @post("/api/v1/commands/{name:str}", status_code=202)
    async def send_command(request: Request[Any, Any, Any]) -> Response[bytes]:
        name = str(request.path_params["name"])
        _check_type(request)
        codec = topology.codecs.named(name)
        if codec.cls not in topology.commands:
            raise UnknownMessage(f"nobody handles the command {name!r}")
        command = codec.decode(await request.body())
        receipt = await engine.send(
            command,
            idempotency_key=idempotency_key(request),
            expected_version=_expected_version(request),
            trace=traceparent(request),
        )
        answer = {"message_id": receipt.message_id, "correlation_id": receipt.correlation_id}
        return Response(msgspec.json.encode(answer), status_code=202, media_type="application/json")

    return send_command


def _check_type(request: Request[Any, Any, Any]) -> None:
    """No other type: a web page may send those to this machine unasked."""
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent != "application/json":
        raise ClientException(f"the Content-Type is {sent[:80]!r}: send application/json")


def _expected_version(request: Request[Any, Any, Any]) -> int | None:
    """The version in `If-Match`: an ETag as `GET` gave it."""
    sent = request.headers.get("if-match")
    if sent is None or sent == "*":
        return None
    version = sent.strip().strip('"')
    if not version.isascii() or not version.isdigit() or len(version) > 18:
        raise ClientException(f"If-Match is {sent[:40]!r}: send an ETag, a version in quotes")
    return int(version)
