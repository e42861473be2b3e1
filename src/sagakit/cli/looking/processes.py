"""`sagakit processes`: list them, show one, read its history."""

from __future__ import annotations

import asyncio
import shlex
from typing import TYPE_CHECKING

import msgspec
import typer

from sagakit.cli.database import find, reading
from sagakit.cli.failures import Failure
from sagakit.cli.help import Command
from sagakit.cli.looking import pictures, standing
from sagakit.cli.looking.places import place
from sagakit.cli.options import After, AsJson, Id, Limit, OfAttribute, OfKey, OfStatus, OfTrace, OfType, ReadDatabase
from sagakit.cli.terminal import show_json
from sagakit.core.commit import Delivery, History
from sagakit.core.display import steps
from sagakit.core.queries import InstanceQuery, Listed
from sagakit.engine.handlers.processes.parentage import children_of, parent_of
from sagakit.server.showing.finding import outstanding, whole_history
from sagakit.server.showing.transitions import transitions
from sagakit.server.showing.views import Page, history_items, process_detail, process_view

if TYPE_CHECKING:
    from sagakit.server.showing.standing import ExplanationView, StuckView

PAGE = 1000

app = typer.Typer(name="processes", help="Processes: list them, show one, read its history.", no_args_is_help=True)


@app.command("list", cls=Command)
def list_processes(  # noqa: PLR0913, PLR0917 (each is an option)
    db: ReadDatabase = "",
    type: OfType = None,
    status: OfStatus = None,
    key: OfKey = None,
    trace: OfTrace = None,
    attribute: OfAttribute = None,
    limit: Limit = 50,
    after: After = None,
    as_json: AsJson = False,
) -> None:
    """The newest processes first."""
    (before,) = place(after, 1) or (None,)
    attributes = tuple(_attribute(one) for one in attribute or ())
    query = InstanceQuery(type, status, key, trace, attributes=attributes, limit=limit + 1, after=before)
    found = asyncio.run(_list(db, query))
    rest = str(found[limit - 1].row.number) if len(found) > limit else None
    page = found[:limit]
    if as_json:
        show_json(Page([process_view(listed) for listed in page], rest))
    else:
        pictures.processes(page, rest)


@app.command("show", cls=Command)
def show_process(id: Id, db: ReadDatabase = "", as_json: AsJson = False) -> None:
    """All about one: steps, undos, what it waits for."""
    listed, history, children, deliveries = asyncio.run(_show(db, id))
    done, parent = steps(listed.row, history, children), parent_of(history)
    if as_json:
        show_json(process_detail(listed, done, deliveries, parent))
    else:
        pictures.process(listed, done, deliveries, parent)


@app.command("history", cls=Command)
def show_history(
    id: Id,
    db: ReadDatabase = "",
    limit: Limit = PAGE,
    after: After = None,
    as_json: AsJson = False,
) -> None:
    """Each message that it took or sent, in order."""
    version, told = place(after, 2) or (0, 0)
    listed, found = asyncio.run(_history(db, id, version, limit))
    page = found[:limit]
    items = history_items(page, first=told + 1)
    rest = f"{page[-1].version}.{told + len(items)}" if len(found) > limit else None
    if as_json:
        show_json(Page(items, rest))
    else:
        pictures.history(listed, items, rest)


@app.command("log", cls=Command)
def show_log(id: Id, db: ReadDatabase = "", as_json: AsJson = False) -> None:
    """Its saga log: each transition, with its step and trace."""
    listed, history, _, _ = asyncio.run(_show(db, id))
    lines = transitions(listed, history)
    if as_json:
        show_json(Page(lines, None))
    else:
        pictures.saga_log(listed, lines)


@app.command("explain", cls=Command)
def explain_process(id: Id, db: ReadDatabase = "", as_json: AsJson = False) -> None:
    """Why it stands still, and which command mends it.

    An engine that runs is asked, since it has the code; else the database alone says what it can.
    """
    from sagakit.app.stores import repeated

    told = asyncio.run(_explain(db, id))
    if db:  # so that they can be typed as they stand
        told.mend = [f"{command} --db {shlex.quote(repeated(db))}" for command in told.mend]
    if as_json:
        show_json(told)
    else:
        standing.explanation(told)


@app.command("stuck", cls=Command)
def list_stuck(db: ReadDatabase = "", limit: Limit = 50, after: After = None, as_json: AsJson = False) -> None:
    """Those that do not move."""
    (last,) = place(after, 1) or (None,)
    page = asyncio.run(_stuck(db, limit, last))
    if as_json:
        show_json(page)
    else:
        standing.stuck(page.items, page.next)


async def _explain(db: str, id: str) -> ExplanationView:
    from sagakit.cli.owner import fetch
    from sagakit.engine.operating.explain import explain
    from sagakit.engine.operating.facts import Gathering
    from sagakit.server.showing.standing import ExplanationView, explanation_view

    async with reading(db) as store:
        id = (await find(store, id)).row.id
        seen = await store.read_owner()
        if seen is not None and seen.url is not None:
            answer = await fetch(seen.url, f"/api/v1/processes/{id}/explain")
            if answer is not None:
                return msgspec.json.decode(answer, type=ExplanationView)
        return explanation_view(explain(await Gathering(store, None, standing.now()).of_instance(id)))


async def _stuck(db: str, limit: int, after: int | None) -> Page[StuckView]:
    from sagakit.cli.owner import fetch
    from sagakit.engine.operating.detector import Detector
    from sagakit.server.showing.standing import StuckView, stuck_view

    async with reading(db) as store:
        seen = await store.read_owner()
        if seen is not None and seen.url is not None:
            rest = "" if after is None else f"&next={after}"
            answer = await fetch(seen.url, f"/api/v1/stuck?limit={limit}{rest}")
            if answer is not None:
                return msgspec.json.decode(answer, type=Page[StuckView])
        found = await Detector(store, None, standing.now()).find(limit=limit + 1, after=after)
        more = str(found[limit - 1].number) if len(found) > limit else None
        return Page([stuck_view(one) for one in found[:limit]], more)


def _attribute(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise Failure(f"--attribute {text}: write NAME=VALUE")
    return name, value


async def _list(db: str, query: InstanceQuery) -> list[Listed]:
    async with reading(db) as store:
        return await store.read_instances(query)


async def _show(db: str, id: str) -> tuple[Listed, list[History], dict[str, str], list[Delivery]]:
    async with reading(db) as store:
        listed = await find(store, id)
        history = await whole_history(store, listed.row.id)
        return listed, history, await children_of(store, history), await outstanding(store, listed.row)


async def _history(db: str, id: str, after: int, limit: int) -> tuple[Listed, list[History]]:
    async with reading(db) as store:
        listed = await find(store, id)
        return listed, await store.read_history(listed.row.id, after=after, limit=limit + 1)
