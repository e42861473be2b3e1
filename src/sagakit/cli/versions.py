"""`sagakit versions` and `sagakit verify`: may the old code go, and can the new code go on with what runs?"""

from __future__ import annotations

import asyncio

import typer
from msgspec import Struct

from sagakit.app import App
from sagakit.app.versions import Trouble, Verification, VersionInUse, versions_in_use
from sagakit.cli.apps import load
from sagakit.cli.database import reading
from sagakit.cli.options import AppName, AsJson, ReadDatabase
from sagakit.cli.terminal import counted, show, show_json, table, text, time
from sagakit.server.showing.views import iso


class VersionView(Struct):
    """A version of a process as `--json` writes it."""

    process: str
    version: int
    declared: bool
    current: bool
    live: int
    oldest: str | None
    oldest_started_at: str | None
    can_go: bool


class Verified(Struct):
    """What `verify --json` writes."""

    instances: int
    messages: int
    troubles: list[Trouble]


def show_versions(app: AppName, db: ReadDatabase = "", as_json: AsJson = False) -> None:
    """Which versions of its processes run, and which may go."""
    found = asyncio.run(_versions(load(app), db))
    if as_json:
        show_json([_view(one) for one in found])
        return
    rows = table("PROCESS", "VERSION", "RUNNING", "OLDEST (UTC)", "")
    for one in found:
        oldest = "" if one.oldest_started_at is None else time(one.oldest_started_at)
        rows.add_row(text(one.process), text(str(one.version)), text(str(one.live)), text(oldest), text(_in_words(one)))
    show(rows)


def verify(app: AppName, db: ReadDatabase = "", as_json: AsJson = False) -> None:
    """Replay what runs against this code, without effect.

    Exits with 1 if an instance could not go on, or if nobody would take a message: the gate before a deployment.
    """
    found = asyncio.run(_verify(load(app), db))
    if as_json:
        show_json(found)
    else:
        _show_troubles(found)
    if found.troubles:
        raise typer.Exit(1)


def _show_troubles(found: Verified) -> None:
    looked_at = f"{counted(found.instances, 'live instance')} and {counted(found.messages, 'outstanding message')}"
    if not found.troubles:
        show(text(f"{looked_at}: this code can go on with all of them"))
        return
    for trouble in found.troubles:
        named = f"{trouble.subject} {trouble.key}" if trouble.key is not None else trouble.subject
        show(text(f"{trouble.id}  {named} (version {trouble.version})", "bold"), text(f"  {trouble.why}"))
    show("", text(f"{looked_at}: {len(found.troubles)} could not go on with this code", "bold red"))


def _in_words(one: VersionInUse) -> str:
    if not one.declared:
        return "not declared any more: what runs on it cannot go on"
    if one.current:
        return "new instances start on it"
    return "nothing runs on it: it can go" if one.can_go else "it can go when these have ended"


def _view(one: VersionInUse) -> VersionView:
    started = None if one.oldest_started_at is None else iso(one.oldest_started_at)
    return VersionView(one.process, one.version, one.declared, one.current, one.live, one.oldest, started, one.can_go)


async def _versions(app: App, db: str) -> list[VersionInUse]:
    async with reading(db) as store:
        return await versions_in_use(app.topology(), store)


async def _verify(app: App, db: str) -> Verified:
    async with reading(db) as store:
        verification = Verification(app.topology(), store)
        troubles = [trouble async for trouble in verification.troubles()]
        return Verified(verification.instances, verification.messages, troubles)
