"""The body of a request that changes something, and the version that its sender has seen."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request
from litestar.exceptions import ClientException


class _Payload(msgspec.Struct):
    payload: msgspec.Raw = msgspec.Raw(b"")


def payload_of(body: bytes) -> bytes | None:
    """The `payload` of a body as it was sent: numbers keep their digits."""
    return bytes(msgspec.json.decode(body, type=_Payload).payload) or None


def check_type(request: Request[Any, Any, Any]) -> None:
    """No other type than JSON: a web page may send those to this machine unasked."""
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent != "application/json":
        raise ClientException(f"the Content-Type is {sent[:80]!r}: send application/json")


def expected_version(request: Request[Any, Any, Any]) -> int | None:
    """The version in `If-Match`: an ETag as `GET` gave it."""
    sent = request.headers.get("if-match")
    if sent is None or sent == "*":
        return None
    version = sent.strip().strip('"')
    if not version.isascii() or not version.isdigit() or len(version) > 18:
        raise ClientException(f"If-Match is {sent[:40]!r}: send an ETag, a version in quotes")
    return int(version)
