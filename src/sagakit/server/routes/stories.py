"""Stories over HTTP: all that one message led to, as a tree, and as a stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litestar import Request, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Stream
from msgspec import Struct, field

from sagakit.core.commit import Envelope
from sagakit.engine.engine import Engine
from sagakit.errors import NotFound
from sagakit.server.routes.answers import PROBLEMS, STREAM
from sagakit.server.routes.processes import Limit, Next, Text
from sagakit.server.showing.events import cursor_of, stream
from sagakit.server.showing.views import MessageView, message_fields, place


class Told(MessageView, kw_only=True):
    """A message of a story, and what it led to, in order."""

    led_to: list[Told] = field(default_factory=list["Told"])


class Story(Struct):
    """A story: its roots (one, unless the page begins in the middle). `next`: there is more."""

    correlation_id: str
    messages: int
    roots: list[Told]
    next: str | None


def stories(engine: Engine) -> list[HTTPRouteHandler]:
    """The routes."""
    store = engine.store

    @get("/api/v1/stories/{correlation_id:str}", responses=PROBLEMS, summary="Read a story", tags=["stories"])
    async def show_story(correlation_id: FromPath[str], limit: Limit = 1000, next: Next = None) -> Story:
        (after,) = place(next, 1) or (0,)
        found = await store.read_story(correlation_id, after=after, limit=limit + 1)
        if not found and not after:
            raise NotFound(f"there is no story {correlation_id}")
        page = found[:limit]
        return Story(correlation_id, len(page), _tree(page), str(page[-1].position) if len(found) > limit else None)

    @get("/api/v1/stories/{correlation_id:str}/watch", responses=STREAM, summary="Watch a story", tags=["stories"])
    async def watch_story(request: Request[Any, Any, Any], correlation_id: FromPath[str], after: Text = None) -> Stream:
        if not await store.read_story(correlation_id, limit=1):
            raise NotFound(f"there is no story {correlation_id}")
        updates = engine.watch(correlation_id=correlation_id, after=cursor_of(request, after))
        return await stream(updates, engine.topology.codecs)

    return [show_story, watch_story]


def _tree(messages: Sequence[Envelope]) -> list[Told]:
    """The messages under those that caused them."""
    told = {message.id: Told(**message_fields(message)) for message in messages}
    roots: list[Told] = []
    for message in messages:
        parent = told.get(message.causation_id or "")
        (roots if parent is None else parent.led_to).append(told[message.id])
    return roots
