"""The same keys sent five times each, at once, through two gateways: one saga a key, whatever becomes of Valkey."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from tests.acceptance.kept import reading
from tests.servers.valkey import ValkeyProcess, process

from sagakit import Engine
from sagakit.core.queries import InstanceQuery
from sagakit.demos.shop.app import shop
from sagakit.demos.shop.gateway import gateway
from sagakit.idempotency import FastPath, Settings, fast_path

ORDERS, TIMES = 200, 5
PATIENT = Settings(patience=10.0)
"""For a server that answers, on a machine that may be busy."""
BRISK = Settings(patience=2.0, rest=0.05)
"""Shorter than the server stands still, and a short rest, so that it is used again within the test."""
STANDS_STILL = 3.0

SHARED = 'sagakit_idempotency_requests_total{answered_by="server"} '
PATIENT_COMMAND = f"""
import sys
from sagakit.cli import run
from sagakit.idempotency import Settings, opening

made = opening.fast_path
opening.fast_path = lambda url: made(url, Settings(patience={PATIENT.patience}))
sys.exit(run(sys.argv[1:]))
"""
"""`sagakit` itself, but that it waits for the server: where much else runs, 50 ms are over before it is asked."""


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[ValkeyProcess]:
    with process(tmp_path / "valkey") as server:
        yield server


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    async with shop.engine(str(tmp_path / "shop.db")) as engine:
        yield engine


class Storm:
    """Every order five times, in any order, to any gateway; who is told that it is in flight comes again."""

    def __init__(self, gateways: list[httpx.AsyncClient], seed: int) -> None:
        self._gateways = gateways
        self._random = random.Random(seed)
        self.answers: defaultdict[str, set[tuple[int, bytes, str]]] = defaultdict(set)
        self.statuses: Counter[int] = Counter()
        self._turn = asyncio.Condition()

    async def rage(self, meanwhile: Callable[[], None]) -> None:
        """Send all of it; do something when half of it is answered."""
        sends = [f"order-{number}" for number in range(ORDERS)] * TIMES
        self._random.shuffle(sends)
        queue, at_once = iter(sends), 40

        async def client() -> None:
            for key in queue:
                await self._send(key)

        async def trouble() -> None:
            async with self._turn:
                await self._turn.wait_for(lambda: self.answered >= len(sends) // 2)
            meanwhile()

        await asyncio.gather(trouble(), *(client() for _ in range(at_once)))

    @property
    def answered(self) -> int:
        """How many requests have their answer."""
        return self.statuses[201]

    async def pass_by(self) -> None:
        """As many new orders, one after another: each to every gateway, to the next once the last one has answered."""
        for number in range(ORDERS):
            for to in self._gateways:
                await self._ask(to, f"late-{number}")

    async def _send(self, key: str) -> None:
        while await self._ask(self._random.choice(self._gateways), key) == 409:
            await asyncio.sleep(0.01)  # later, as Retry-After asks: else one client in this process would starve all
        async with self._turn:
            self._turn.notify_all()

    async def _ask(self, to: httpx.AsyncClient, key: str) -> int:
        item = {"product_id": "prod_1", "quantity": 1, "price": 50}
        order = {"customer_id": key, "items": [item]}
        answer = await to.post("/orders", json=order, headers={"X-Idempotency-Key": key})
        self.statuses[answer.status_code] += 1
        if answer.status_code != 409:
            self.answers[key].add((answer.status_code, answer.content, answer.headers.get("location", "")))
        return answer.status_code


def flushed(valkey: ValkeyProcess) -> None:
    valkey.say("FLUSHALL")


def killed(valkey: ValkeyProcess) -> None:
    valkey.kill()


def killed_and_started_again(valkey: ValkeyProcess) -> None:
    valkey.kill()
    valkey.start()


def paused_for_a_while(valkey: ValkeyProcess) -> None:
    valkey.pause()
    asyncio.get_running_loop().call_later(STANDS_STILL, valkey.go_on)


@pytest.mark.parametrize("trouble", [flushed, killed, killed_and_started_again, paused_for_a_while])
async def test_one_saga_a_key_and_one_answer(
    engine: Engine, valkey: ValkeyProcess, trouble: Callable[[ValkeyProcess], None]
) -> None:
    async with AsyncExitStack() as stack:
        settings = PATIENT if trouble is flushed else BRISK
        fast = [fast_path(valkey.url, settings) for _ in range(2)]
        clients = [await stack.enter_async_context(client(engine, one)) for one in fast]
        storm = Storm(clients, seed=7)
        await storm.rage(lambda: trouble(valkey))
        for one in fast:
            await one.close()

    assert set(storm.statuses) <= {201, 409}
    assert storm.answered == ORDERS * TIMES
    assert Counter(len(answers) for answers in storm.answers.values()) == {1: ORDERS}
    assert len(await engine.store.read_instances(InstanceQuery(limit=1000))) == ORDERS
    assert sum(one.counted.shared for one in fast) > ORDERS / 10, "the server was used"
    if trouble is flushed:
        assert sum(one.counted.failed + one.counted.distrusted for one in fast) == 0
        assert sum(one.counted.store for one in fast) >= ORDERS


def client(engine: Engine, fast: FastPath) -> httpx.AsyncClient:
    """A client of one gateway."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(gateway(engine, fast=fast)), base_url="http://shop")


class Process:
    """`sagakit demo` in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._reading = asyncio.ensure_future(self._read())
        self._address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.said = ""

    async def address(self) -> str:
        """Where it is open."""
        return await self._address

    async def end(self) -> None:
        """Tell it to stop, and wait for that."""
        self._process.send_signal(signal.SIGTERM)
        await self._reading
        await self._process.wait()

    async def _read(self) -> None:
        assert self._process.stdout
        async for line in self._process.stdout:
            self.said += line.decode()
            if "open at " in line.decode() and not self._address.done():
                self._address.set_result(line.decode().partition("open at ")[2].strip())
        if not self._address.done():
            self._address.set_exception(RuntimeError(self.said))


@asynccontextmanager
async def opened(database: str, idempotency: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway in a process of its own."""
    words = ["-c", PATIENT_COMMAND, "demo", "--port", "0", "--db", database, "--idempotency", idempotency]
    started = await asyncio.create_subprocess_exec(
        sys.executable, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    shop_of = Process(started)
    try:
        async with httpx.AsyncClient(base_url=await shop_of.address(), timeout=60) as client:
            yield client
        await shop_of.end()
    finally:
        if started.returncode is None:
            started.kill()
            await started.wait()


async def shared(*gateways: httpx.AsyncClient) -> int:
    """How many requests the gateways say they have answered from the server's copies."""
    lines = [line for one in gateways for line in (await one.get("/metrics")).text.splitlines()]
    return sum(int(float(line.split()[-1])) for line in lines if line.startswith(SHARED))


@pytest.mark.timeout(360)
async def test_two_processes_before_one_postgresql(valkey: ValkeyProcess, postgres_url: str) -> None:
    async with opened(postgres_url, valkey.url) as one, opened(postgres_url, valkey.url) as two:
        storm = Storm([one, two], seed=7)
        await storm.rage(lambda: flushed(valkey))
        in_storm = await shared(one, two)
        await storm.pass_by()
        in_calm = await shared(one, two) - in_storm

    assert set(storm.statuses) <= {201, 409}
    assert storm.answered == ORDERS * (TIMES + 2)
    assert Counter(len(answers) for answers in storm.answers.values()) == {1: ORDERS * 2}
    assert in_storm > ORDERS / 10, "the server was used"
    assert in_calm == ORDERS, "what one gateway has answered the other one finds, each time"
    async with reading(postgres_url) as store:
        assert len(await store.read_instances(InstanceQuery(limit=1000))) == ORDERS * 2
