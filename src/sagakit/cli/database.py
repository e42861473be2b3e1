"""Which database a command means, and opening it for reading beside a running engine."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from sagakit.cli.failures import Failure, WrongUse
from sagakit.cli.terminal import note
from sagakit.core.queries import Listed
from sagakit.errors import NotFound
from sagakit.ports import Store
from sagakit.server.showing.finding import find_instance


def named(db: str) -> str:
    """The database that was named."""
    if not db:
        raise WrongUse("which database? give --db PATH_OR_URL, or set SAGAKIT_DB")
    return db


def named_or_demo(db: str) -> str:
    """The database that was named, else the demo's, which is then said on stderr."""
    if db:
        return db
    from sagakit.demos import database_of

    found = database_of("shop")
    if not found.exists():
        raise WrongUse("which database? give --db PATH_OR_URL, or set SAGAKIT_DB (the demo has not run here yet)")
    note(f"the demo's database: {found}")
    return str(found)


@asynccontextmanager
async def reading(db: str) -> AsyncGenerator[Store]:
    """The store, open for reading only: an engine may own it and run."""
    from sagakit.app.stores import open_store

    store = open_store(named_or_demo(db))
    await store.open(own=False)
    try:
        yield store
    finally:
        await store.close()


async def find(store: Store, id: str) -> Listed:
    """The instance of an id, or the only one of a key."""
    try:
        return await find_instance(store, id)
    except NotFound as missing:
        raise Failure(f"{missing}: sagakit processes list shows them") from missing
