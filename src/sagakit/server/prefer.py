"""`Prefer: wait=N` (RFC 7240): a request that is answered when there is news, or after N seconds."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from typing import Any

from litestar import Request

LONGEST_WAIT = 60
"""Seconds: who prefers to wait longer is answered after this, and asks again."""

_PREFERENCE = re.compile(r'((?:[^",;]|"(?:[^"\\]|\\.)*")*)(?:;(?:[^",]|"(?:[^"\\]|\\.)*")*)?(?:,|$)')
"""One preference, without its parameters, up to the comma that ends it."""


def preferred_wait(request: Request[Any, Any, Any]) -> int | None:
    """The seconds in `Prefer: wait=N`, at most LONGEST_WAIT. None without it; one that is malformed is ignored."""
    for header in request.headers.getall("prefer", []):
        start = 0
        while start < len(header) and (found := _PREFERENCE.match(header, start)):
            name, _, value = found[1].partition("=")
            if name.strip().lower() == "wait":  # the first one counts, whatever it says
                return _seconds(value.strip())
            start = found.end()
    return None


def applied(wait: int | None) -> dict[str, str]:
    """The headers of an answer that has honoured the preference."""
    return {} if wait is None else {"Preference-Applied": f"wait={wait}"}


async def while_connected(request: Request[Any, Any, Any], steps: Coroutine[Any, Any, None]) -> None:
    """Run this until it is done, or until the client has gone: then nobody waits for it any more."""
    gone = asyncio.ensure_future(_gone(request))
    doing = asyncio.ensure_future(steps)
    try:
        await asyncio.wait((doing, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        doing.cancel()
        await asyncio.gather(gone, doing, return_exceptions=True)
    if not doing.cancelled():
        doing.result()


async def _gone(request: Request[Any, Any, Any]) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass  # the rest of a body that nobody reads


def _seconds(value: str) -> int | None:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = value[1:-1]
    if not value.isascii() or not value.isdigit():
        return None
    return min(int(value[:9]) if len(value) <= 9 else LONGEST_WAIT, LONGEST_WAIT)
