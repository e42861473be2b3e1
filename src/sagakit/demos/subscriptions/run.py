"""`sagakit demo subscriptions`: the service beside its payment provider, and a few orders, told line by line."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.text import Text

from sagakit.demos.running import Demo, demo
from sagakit.demos.subscriptions.account import Account
from sagakit.demos.subscriptions.alarm import Alarm
from sagakit.demos.subscriptions.app import app
from sagakit.demos.subscriptions.controller import purchases
from sagakit.demos.subscriptions.provider.process import running_provider
from sagakit.demos.subscriptions.scenario import play
from sagakit.demos.subscriptions.steps import ProviderAddress
from sagakit.demos.terminal import Terminal
from sagakit.server.api import api
from sagakit.telemetry.logs import log_to_stderr


def run_demo(port: int = 8080, db: str | None = None, fresh: bool = False, idempotency: str | None = None) -> None:
    """Run the service until the process is told to stop. `db`: a path or URL; None: a file of its own, kept."""
    log_to_stderr()
    asyncio.run(_run(port, db, fresh, idempotency))


async def _run(port: int, db: str | None, fresh: bool, idempotency: str | None) -> None:
    async with running_provider() as provider:
        accounts: list[Account] = []

        def provided(terminal: Terminal, _: Path | None) -> Mapping[Any, object]:
            account = Account(terminal.show)
            accounts.append(account)
            alarm = Alarm(lambda order_id, reason: account.tell("refusal", order_id, "ALERT", reason))
            return {ProviderAddress: ProviderAddress(provider), Account: account, Alarm: alarm}

        async with demo(app, port=port, db=db, fresh=fresh, idempotency=idempotency, provide=provided) as opened:
            opened.terminal.open(_greeting(opened, provider))
            scenario = play(opened.engine, accounts[0], address=opened.address, provider=provider)
            await opened.serve(api(opened.engine, purchases(opened.engine), fast=opened.fast), scenario)


def _greeting(opened: Demo, provider: str) -> Text:
    text = Text().append(f"Subscriptions are sold at {opened.address}\n\n", "bold")
    text.append("  provider  ", "dim").append(f"{provider} (a process of its own)\n")
    text.append("  database  ", "dim").append(f"{opened.kept}\n\n")
    text.append("A few orders are placed now. Place one of your own, from another terminal:\n\n")
    body = '{"email": "ann@example.org", "plan": "team", "persons": 5}'
    line = f"curl -s {opened.address}/plan/purchase -H 'Content-Type: application/json' -d '{body}'"
    text.append(f"{line}\n", "cyan")
    return text
