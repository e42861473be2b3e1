"""`sagakit demo`: the shop on this machine, told line by line."""

from __future__ import annotations

import asyncio

from sagakit.app.running import signalled
from sagakit.demos.files import file_of, forget
from sagakit.demos.shop.account import Account
from sagakit.demos.shop.app import shop
from sagakit.demos.shop.gateway import gateway
from sagakit.demos.shop.greeting import greeting
from sagakit.demos.shop.payments.cards import Books, books_of
from sagakit.demos.terminal import Terminal
from sagakit.server.log import log_to_stderr
from sagakit.server.serve import address_of, bind, serve


def run_demo(port: int = 8080, db: str | None = None, fresh: bool = False) -> None:
    """Run the shop until the process is told to stop. `db`: a path or URL; None: a file of the demo's own, kept."""
    log_to_stderr()
    asyncio.run(_run(port, db, fresh))


async def _run(port: int, db: str | None, fresh: bool) -> None:
    with bind(port) as bound, signalled() as told:
        path = file_of("shop", db)
        if fresh and path:
            forget(path, books_of(path))
        terminal = Terminal()
        provide = {Account: Account(terminal.show), Books: Books(path and books_of(path))}
        try:
            async with shop.engine(db or str(path), provide=provide) as engine:
                terminal.open(await greeting(engine, address_of(bound), path))
                await serve(engine, gateway(engine), bound, told)
            terminal.print(
                "The shop is closed; it goes on where it stands when it is opened again." if path else "Closed."
            )
        finally:
            terminal.close()
