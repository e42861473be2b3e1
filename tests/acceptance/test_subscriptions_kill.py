"""The subscription service is killed while each of its steps is under way, and finishes what it has begun."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.long

KINDS = ("customers", "plans", "sessions", "payments", "permissions")

SERVICE = """
import asyncio, sys
from sagakit.demos.subscriptions.alarm import Alarm
from sagakit.demos.subscriptions.app import app
from sagakit.demos.subscriptions.messages import Order
from sagakit.demos.subscriptions.steps import ProviderAddress
from sagakit.demos.subscriptions.subscribe import subscribe

async def main(db, provider):
    alarm = Alarm(lambda order_id, reason: print("alert", order_id, reason, flush=True))
    async with app.engine(db, provide={ProviderAddress: ProviderAddress(provider), Alarm: alarm}) as engine:
        start = Order.Start("o-1", "ann@example.org", "pro", 3, "4242")
        await engine.send(start, idempotency_key="o-1")
        print("accepted", flush=True)
        print("end", (await engine.wait(subscribe, "o-1", timeout=50)).status, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def provider() -> Iterator[str]:
    """The payment provider: it lives on when the service does not."""
    command = [sys.executable, "-m", "sagakit.demos.subscriptions.provider"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield process.stdout.readline().strip()
        process.kill()


def started(db: Path, provider: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SERVICE, str(db), provider]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout
    assert process.stdout.readline() == "accepted\n"
    return process


def until_asked(provider: str, kind: str) -> None:
    """Wait until the provider has a request of this kind in its hands."""
    deadline = time.monotonic() + 20
    while kind not in httpx.get(f"{provider}/asked").json():
        assert time.monotonic() < deadline


@pytest.mark.parametrize("refused", [False, True], ids=["done", "refused"])
@pytest.mark.parametrize("step", range(5))
def test_killed_at_a_step(tmp_path: Path, provider: str, step: int, refused: bool) -> None:
    db, kind = tmp_path / "subscriptions.db", KINDS[step]
    httpx.post(f"{provider}/weather", json=[{"trouble": "slow", "kind": kind, "seconds": 60}])
    service = started(db, provider)
    until_asked(provider, kind)
    service.kill()
    service.communicate()

    weather = [{"trouble": "refuse", "kind": kind}] if refused else []
    httpx.post(f"{provider}/weather", json=weather)
    said, _ = started(db, provider).communicate(timeout=50)
    lines = said.splitlines()
    done = [["create", one, "o-1"] for one in (KINDS[:step] if refused else KINDS)]
    undone = [["cancel", one, "o-1"] for one in reversed(KINDS[:step])] if refused else []
    assert httpx.get(f"{provider}/ledger").json() == done + undone
    assert lines[-1] == ("end compensated" if refused else "end completed")
    alerts = [line for line in lines if line.startswith("alert")]
    assert alerts == ([f"alert o-1 {kind} are not possible today"] if refused else [])
