"""`sagakit demo hotel`: a day at the hotel, told line by line; the API is served meanwhile and after it."""

from __future__ import annotations

import asyncio

from rich.text import Text

from sagakit.demos.hotel.app import hotel
from sagakit.demos.hotel.scenario import Scenario
from sagakit.demos.running import Demo, demo
from sagakit.server.api import api
from sagakit.telemetry.logs import log_to_stderr


def run_demo(port: int = 8080, db: str | None = None, fresh: bool = False, idempotency: str | None = None) -> None:
    """Run the hotel until the process is told to stop. `db`: a path or URL; None: a file of the demo's own, kept."""
    log_to_stderr()
    asyncio.run(_run(port, db, fresh, idempotency))


async def _run(port: int, db: str | None, fresh: bool, idempotency: str | None) -> None:
    async with demo(hotel, port=port, db=db, fresh=fresh, idempotency=idempotency) as opened:
        opened.terminal.open(_greeting(opened))
        await opened.serve(api(opened.engine, fast=opened.fast), Scenario(opened.engine, opened.terminal.show).play())


def _greeting(opened: Demo) -> Text:
    text = Text().append(f"The hotel is open at {opened.address}\n\n", "bold")
    text.append("  database  ", "dim").append(f"{opened.kept}\n\n")
    text.append("Three groups of forty check out, each in another way; three guests of each have not paid.\n")
    text.append("Look at them meanwhile, from another terminal:\n\n")
    text.append(f"curl -s {opened.address}/api/v1/processes\n", "cyan")
    return text
