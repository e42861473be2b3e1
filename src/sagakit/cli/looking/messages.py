"""`sagakit messages`: the story of a correlation id, as a tree of causes."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from sagakit.cli.database import reading
from sagakit.cli.help import Command
from sagakit.cli.looking.places import place
from sagakit.cli.looking.story import story
from sagakit.cli.options import After, AsJson, Limit, ReadDatabase
from sagakit.cli.terminal import show_json
from sagakit.core.commit import Envelope
from sagakit.server.showing.views import Page, message_view

app = typer.Typer(name="messages", help="Messages: what led to what.", no_args_is_help=True)


@app.callback()
def _messages() -> None:
    """Keeps `list` a command of its own."""


@app.command("list", cls=Command)
def list_messages(
    correlation: Annotated[str, typer.Option("--correlation", metavar="ID", help="Of this correlation id.")],
    db: ReadDatabase = "",
    limit: Limit = 1000,
    after: After = None,
    as_json: AsJson = False,
) -> None:
    """A story as a tree: which message caused which.

    All that one message from outside led to bears its correlation id: commands, the events that they led to,
    the commands that those led to.
    """
    (position,) = place(after, 1) or (0,)
    found = asyncio.run(_read(db, correlation, position, limit + 1))
    page = found[:limit]
    rest = str(page[-1].position) if len(found) > limit else None
    if as_json:
        show_json(Page([message_view(envelope) for envelope in page], rest))
    else:
        story(page, rest)


async def _read(db: str, correlation: str, after: int, limit: int) -> list[Envelope]:
    async with reading(db) as store:
        return await store.read_story(correlation, after=after, limit=limit)
