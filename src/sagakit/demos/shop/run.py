"""`sagakit demo`: the shop on this machine, told line by line."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sagakit.demos.running import demo
from sagakit.demos.shop.account import Account
from sagakit.demos.shop.app import shop
from sagakit.demos.shop.gateway import shop_server
from sagakit.demos.shop.greeting import greeting
from sagakit.demos.shop.payments.cards import Books, books_of
from sagakit.demos.terminal import Terminal
from sagakit.telemetry.logs import log_to_stderr

BOOKS = "SAGAKIT_SHOP_BOOKS"
"""The file of the card provider's books, wherever the shop's own data are; one process has it at a time."""


def run_demo(port: int = 8080, db: str | None = None, fresh: bool = False, idempotency: str | None = None) -> None:
    """Run the shop until the process is told to stop. `db`: a path or URL; None: a file of the demo's own, kept."""
    log_to_stderr()
    asyncio.run(_run(port, db, fresh, idempotency))


async def _run(port: int, db: str | None, fresh: bool, idempotency: str | None) -> None:
    async with demo(
        shop, port=port, db=db, fresh=fresh, idempotency=idempotency, provide=provided, others=others
    ) as opened:
        opened.terminal.open(await greeting(opened.engine, opened.address, opened.path))
        await opened.serve(shop_server(opened.engine, fast=opened.fast))


def others(path: Path) -> tuple[Path, ...]:
    """The files beside a database that --fresh removes too."""
    books = books_kept(path)
    return () if books is None else (books,)


def provided(terminal: Terminal, path: Path | None) -> Mapping[Any, object]:
    """What the shop's modules ask for."""
    return {Account: Account(terminal.show), Books: Books(books_kept(path))}


def books_kept(path: Path | None) -> Path | None:
    """Where the card provider's books are: as the environment says, or beside a file; None: in memory."""
    named = os.environ.get(BOOKS)
    return Path(named) if named else path and books_of(path)
