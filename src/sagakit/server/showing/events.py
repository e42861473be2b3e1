"""Server-sent events: what is watched, as a stream that goes on where it broke off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import msgspec
from litestar import Request
from litestar.response import Stream
from litestar.response.sse import ServerSentEventMessage

from sagakit.core.codec import Codecs
from sagakit.core.messages import Message
from sagakit.core.saga.batches.progress import Progress
from sagakit.engine.watching.updates import Update
from sagakit.errors import CursorGone, Stopping

SILENCE = 15.0
"""Seconds without news after which a comment is sent: proxies close what says nothing."""
AGAIN = 1000
"""Milliseconds after which a client whose stream broke off asks again."""


class EventView(msgspec.Struct):
    """A message, by its wire name."""

    message: str
    payload: msgspec.Raw


class UpdateView(msgspec.Struct):
    """What an instance, or a story, has come to."""

    status: str
    state: str | None
    event: EventView | None
    cursor: str
    skipped: int
    progress: Sequence[Progress]
    """How far the batches of an instance have come."""


def cursor_of(request: Request[Any, Any, Any], after: str | None) -> str | None:
    """Where the client's stream broke off: what its browser says goes before the link."""
    return request.headers.get("last-event-id") or after


async def stream(updates: AsyncGenerator[Update], codecs: Codecs) -> Stream:
    """A stream of these updates. Raises at once what keeps it from beginning."""
    first: Update | CursorGone | None
    try:
        first = await anext(updates, None)
    except CursorGone as gone:
        first = gone
    return Stream(
        _written(first, updates, codecs), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )


async def _written(
    first: Update | CursorGone | None, updates: AsyncGenerator[Update], codecs: Codecs
) -> AsyncGenerator[bytes]:
    try:
        if isinstance(first, CursorGone):
            # told so, with the current state: whoever goes on from there has missed what is not kept
            yield _event("cursor_gone", first.current, codecs)
            return
        if first is not None:
            yield _event("update", first, codecs, retry=AGAIN)
        async for update in _with_signs_of_life(updates):
            yield b": still here\n\n" if update is None else _event("update", update, codecs)
        yield ServerSentEventMessage(event="end", data="{}").encode()
    except Stopping:  # the engine stops: the client asks again, and is told by whoever runs then
        return
    finally:
        await updates.aclose()


async def _with_signs_of_life(updates: AsyncGenerator[Update]) -> AsyncGenerator[Update | None]:
    """The updates; None for each while of silence."""
    waiting: asyncio.Future[Update] | None = None
    try:
        while True:
            waiting = waiting or asyncio.ensure_future(anext(updates))
            done, _ = await asyncio.wait((waiting,), timeout=SILENCE)
            if not done:
                yield None
                continue
            try:
                update = waiting.result()
            except StopAsyncIteration:
                return
            waiting = None
            yield update
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)


def _event(kind: str, update: Update, codecs: Codecs, retry: int | None = None) -> bytes:
    view = UpdateView(
        update.status,
        update.state or None,
        event_view(update.event, codecs),
        update.cursor,
        update.skipped,
        update.progress,
    )
    data = msgspec.json.encode(view)
    return ServerSentEventMessage(data, event=kind, id=update.cursor, retry=retry).encode()


def event_view(event: Message | None, codecs: Codecs) -> EventView | None:
    """A message as clients see it."""
    if event is None:
        return None
    codec = codecs.of(event)
    return EventView(codec.name, msgspec.Raw(codec.encode(event)))
