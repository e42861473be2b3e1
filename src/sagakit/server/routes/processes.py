"""Processes over HTTP: list them, look at one, read its history, watch it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from litestar import Request, Response, get
from litestar.exceptions import ClientException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Stream

from sagakit.core.commit import ENDED, Status
from sagakit.core.display import steps
from sagakit.core.queries import InstanceQuery, Listed
from sagakit.engine.engine import Engine
from sagakit.engine.handlers.processes.parentage import children_of, parent_of
from sagakit.errors import WaitTimeout
from sagakit.server.prefer import applied, preferred_wait, while_connected
from sagakit.server.routes.answers import PROBLEMS, STREAM
from sagakit.server.showing.events import cursor_of, stream
from sagakit.server.showing.finding import find_instance, outstanding, whole_history
from sagakit.server.showing.transitions import Transition, transitions
from sagakit.server.showing.views import (
    HistoryItem,
    Page,
    ProcessDetail,
    ProcessView,
    history_items,
    place,
    process_detail,
    process_view,
)

MICROSECONDS = 1_000_000

Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="At most so many.")]
Next = Annotated[str | None, QueryParameter(description="The `next` of the page before.")]
Text = Annotated[str | None, QueryParameter(max_length=200)]
Seconds = Annotated[float | None, QueryParameter(ge=0, le=10**9)]


def processes(engine: Engine) -> list[HTTPRouteHandler]:
    """The routes."""
    return [_listing(engine), *_looking(engine)]


def _listing(engine: Engine) -> HTTPRouteHandler:
    @get("/api/v1/processes", responses=PROBLEMS, summary="List processes", tags=["processes"])
    async def list_processes(
        type: Text = None,
        status: Annotated[Status | Literal["live"] | None, QueryParameter(description="`live`: not ended.")] = None,
        key: Text = None,
        attribute: Annotated[list[str] | None, QueryParameter(description="`name:value`; all have to match.")] = None,
        trace_id: Text = None,
        correlation_id: Text = None,
        older_than: Annotated[Seconds, QueryParameter(description="Started so many seconds ago, or before.")] = None,
        younger_than: Annotated[Seconds, QueryParameter(description="Started so many seconds ago, or later.")] = None,
        sort: FromQuery[Literal["newest", "oldest"]] = "newest",
        limit: Limit = 50,
        next: Next = None,
    ) -> Page[ProcessView]:
        now = engine.clock.now()
        (after,) = place(next, 1) or (None,)
        query = InstanceQuery(
            type=type,
            status=status,
            key=key,
            trace_id=trace_id,
            correlation_id=correlation_id,
            attributes=tuple(_attribute(one) for one in attribute or ()),
            started_before=None if older_than is None else now - int(older_than * MICROSECONDS),
            started_after=None if younger_than is None else now - int(younger_than * MICROSECONDS),
            order=sort,
            limit=limit + 1,
            after=after,
        )
        found = await engine.store.read_instances(query)
        rest = str(found[limit - 1].row.number) if len(found) > limit else None
        return Page([process_view(listed) for listed in found[:limit]], rest)

    return list_processes


def _looking(engine: Engine) -> list[HTTPRouteHandler]:
    store, codecs = engine.store, engine.topology.codecs

    @get("/api/v1/processes/{id:str}", responses=PROBLEMS, summary="Look at a process", tags=["processes"])
    async def show_process(request: Request[Any, Any, Any], id: FromPath[str]) -> Response[ProcessDetail]:
        listed = await find_instance(store, id)
        wait = preferred_wait(request)
        if wait is not None and listed.row.status not in ENDED:
            await while_connected(request, _ended(engine, listed, wait))
            listed = await find_instance(store, listed.row.id)
        history = await whole_history(store, listed.row.id)
        done = steps(listed.row, history, await children_of(store, history))
        detail = process_detail(listed, done, await outstanding(store, listed.row), parent_of(history))
        return Response(detail, headers={"ETag": f'"{listed.row.version}"', **applied(wait)})

    @get("/api/v1/processes/{id:str}/history", responses=PROBLEMS, summary="Read its history", tags=["processes"])
    async def show_history(id: FromPath[str], limit: Limit = 1000, next: Next = None) -> Page[HistoryItem]:
        listed = await find_instance(store, id)
        version, told = place(next, 2) or (0, 0)
        found = await store.read_history(listed.row.id, after=version, limit=limit + 1)
        page = found[:limit]
        items = history_items(page, first=told + 1)
        rest = f"{page[-1].version}.{told + len(items)}" if len(found) > limit else None
        return Page(items, rest)

    @get("/api/v1/processes/{id:str}/log", responses=PROBLEMS, summary="Read its saga log", tags=["processes"])
    async def show_log(id: FromPath[str]) -> Page[Transition]:
        listed = await find_instance(store, id)
        return Page(transitions(listed, await whole_history(store, listed.row.id)), None)

    @get("/api/v1/processes/{id:str}/watch", responses=STREAM, summary="Watch it", tags=["processes"])
    async def watch_process(request: Request[Any, Any, Any], id: FromPath[str], after: Text = None) -> Stream:
        row = (await find_instance(store, id)).row
        return await stream(engine.watch(row.type, row.key, after=cursor_of(request, after)), codecs)

    return [show_process, show_history, show_log, watch_process]


async def _ended(engine: Engine, listed: Listed, within: int) -> None:
    try:
        await engine.wait(listed.row.type, listed.row.key, timeout=within)
    except WaitTimeout:
        return


def _attribute(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name:
        raise ClientException(f"attribute: {text[:80]!r}: write name:value")
    return name, value
