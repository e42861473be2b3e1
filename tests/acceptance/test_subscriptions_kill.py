"""The subscription service is killed while each of its steps is under way, and finishes what it has begun."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from tests.acceptance.kept import on_kept_stores

pytestmark = pytest.mark.long

KINDS = ("customers", "plans", "sessions", "payments", "permissions")
CASES = [f"{kind} {end}" for kind in KINDS for end in ("done", "refused")]

SERVICE = """
import asyncio, sys
from sagakit.demos.subscriptions.alarm import Alarm
from sagakit.demos.subscriptions.app import app
from sagakit.demos.subscriptions.messages import Order
from sagakit.demos.subscriptions.steps import ProviderAddress
from sagakit.demos.subscriptions.subscribe import subscribe
from sagakit.telemetry.logs import log_to_stderr

async def main(db, provider):
    alarm = Alarm(lambda order_id, reason: print("alert", order_id, reason, flush=True))
    async with app.engine(db, provide={ProviderAddress: ProviderAddress(provider), Alarm: alarm}) as engine:
        start = Order.Start("o-1", "ann@example.org", "pro", 3, "4242")
        await engine.send(start, idempotency_key="o-1")
        print("accepted", flush=True)
        print("end", (await engine.wait(subscribe, "o-1", begun=False, timeout=100)).status, flush=True)

log_to_stderr()
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


@contextmanager
def started(db: str, provider: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", SERVICE, db, provider]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "accepted\n"
            yield process
        finally:
            process.kill()


def until_asked(provider: str, kind: str) -> None:
    """Wait until the provider has a request of this kind in its hands."""
    deadline = time.monotonic() + 60
    while kind not in httpx.get(f"{provider}/asked", timeout=60).json():
        assert time.monotonic() < deadline


@on_kept_stores("case", sqlite=CASES, postgresql=CASES[1::2])
def test_killed_at_a_step(kept_url: str, provider: str, case: str) -> None:
    kind, end = case.split()
    step, refused = KINDS.index(kind), end == "refused"
    httpx.post(f"{provider}/weather", json=[{"trouble": "slow", "kind": kind, "seconds": 60}], timeout=60)
    with started(kept_url, provider):
        until_asked(provider, kind)

    weather = [{"trouble": "refuse", "kind": kind}] if refused else []
    httpx.post(f"{provider}/weather", json=weather, timeout=60)
    with started(kept_url, provider) as service:
        said, _ = service.communicate(timeout=120)
    lines = said.splitlines()
    done = [["create", one, "o-1"] for one in (KINDS[:step] if refused else KINDS)]
    undone = [["cancel", one, "o-1"] for one in reversed(KINDS[:step])] if refused else []
    assert httpx.get(f"{provider}/ledger", timeout=60).json() == done + undone
    assert lines[-1] == ("end compensated" if refused else "end completed")
    alerts = [line for line in lines if line.startswith("alert")]
    assert alerts == ([f"alert o-1 {kind} are not possible today"] if refused else [])
