"""`sagakit demo`: the shop on this machine, told line by line."""

from __future__ import annotations

import asyncio
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
    return (books_of(path),)


def provided(terminal: Terminal, path: Path | None) -> Mapping[Any, object]:
    """What the shop's modules ask for."""
    return {Account: Account(terminal.show), Books: Books(path and books_of(path))}
