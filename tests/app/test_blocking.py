"""A synchronous caller has an engine too, in a thread of its own."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread, active_count
from threading import enumerate as threads
from typing import Any

import pytest

from sagakit import App, BlockingEngine, NotFound, Saga, Stopping, UnknownMessage, WaitTimeout
from sagakit.errors import StoreInUse


@dataclass(frozen=True)
class Add:
    id: str
    amount: int


@dataclass(frozen=True)
class Added:
    id: str
    amount: int


@dataclass(frozen=True)
class Never:
    id: str


@dataclass(frozen=True)
class Sleep:
    id: str


app = App("sums")


@app.aggregate(key="id")
@dataclass(frozen=True)
class Sum:
    amount: int = 0

    def decide(self, command: Add) -> Added:
        return Added(command.id, command.amount)

    def evolve(self, event: Added) -> Sum:
        return Sum(self.amount + event.amount)


@app.saga(key="id", receives=Never)
async def sleep(start: Sleep, saga: Saga) -> None:
    await saga.receive(Never)


def engines() -> list[Thread]:
    return [thread for thread in threads() if thread.name == "sagakit engine"]


def test_the_doors(tmp_path: Path) -> None:
    with app.blocking(f"sqlite:///{tmp_path / 'sums.db'}") as engine:
        receipt = engine.send(Add("a", 1), idempotency_key="k")
        assert engine.send(Add("a", 1), idempotency_key="k").message_id == receipt.message_id
        assert engine.send_and_wait(Add("a", 2), until=Added) == Added("a", 2)
        assert engine.send_and_wait(Add("a", 2), until=(Added, Never), timeout=30) == Added("a", 2)
        engine.publish(Added("b", 3))
        assert engine.load(Sum, "a") == (Sum(5), 3)
        with pytest.raises(NotFound):
            engine.load(Sum, "b")
        with pytest.raises(WaitTimeout):
            engine.send_and_wait(Sleep("a"), until=Added, timeout=0.05)
        with pytest.raises(UnknownMessage):
            engine.send(Never("n"))
    assert engines() == []


def test_a_command_for_later() -> None:
    with app.blocking("memory://") as engine:
        began = time.time()
        engine.send(Add("a", 1), after=3600)
        after = engine.send(Add("c", 3), after=0.2)
        receipt = engine.send(Add("b", 2), at=datetime.now(UTC) + timedelta(seconds=0.2), idempotency_key="k")
        assert engine.wait(until=Added, correlation_id=receipt.correlation_id, timeout=30) == Added("b", 2)
        assert engine.wait(until=Added, correlation_id=after.correlation_id, timeout=30) == Added("c", 3)
        assert time.time() - began >= 0.2
        with pytest.raises(NotFound):
            engine.load(Sum, "a")
        assert engine.send(Add("b", 2), after=9, idempotency_key="k").repeated
        with pytest.raises(ValueError, match="no time zone"):
            engine.send(Add("a", 1), at=datetime(2030, 1, 1))  # noqa: DTZ001


def test_watching_and_waiting() -> None:
    with app.blocking("memory://") as engine:
        receipt = engine.send(Add("a", 1))
        assert engine.wait(until=Added, correlation_id=receipt.correlation_id) == Added("a", 1)
        story = list(engine.watch(correlation_id=receipt.correlation_id, after="0"))
        assert [(update.event, update.status) for update in story] == [
            (Add("a", 1), "running"),
            (Added("a", 1), "ended"),
        ]
        engine.send(Sleep("s"))
        updates = engine.watch(sleep, "s")
        assert next(updates).status == "running"
        engine.publish(Never("s"))
        assert [update.event for update in updates] == [Never("s")]
        assert engine.wait(sleep, "s", timeout=30).status == "completed"
        with pytest.raises(NotFound):
            next(engine.watch(sleep, "t"))


def test_a_watch_that_is_left_is_forgotten() -> None:
    with app.blocking("memory://") as engine:
        engine.send(Sleep("s"))
        for update in engine.watch(sleep, "s"):
            assert update.status == "running"
            break
        watching = engine.watch(sleep, "s")
        next(watching)
        watching.close()
        assert not engine._engine._watching  # pyright: ignore[reportPrivateUsage]


def test_a_watch_ends_with_the_engine() -> None:
    with app.blocking("memory://") as engine:
        engine.send(Sleep("s"))
        updates = engine.watch(sleep, "s")
        next(updates)
    with pytest.raises(Stopping):
        next(updates)


def test_several_threads() -> None:
    with app.blocking("memory://") as engine, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: engine.send_and_wait(Add("a", number), until=Added), range(50)))
        assert engine.load(Sum, "a") == (Sum(sum(range(50))), 50)


async def test_beside_a_running_loop() -> None:
    def use() -> int:
        with app.blocking("memory://") as engine:
            engine.send_and_wait(Add("a", 1), until=Added)
            return engine.load(Sum, "a").version

    assert await asyncio.to_thread(use) == 1


def test_after_the_end() -> None:
    with app.blocking("memory://") as engine:
        pass
    with pytest.raises(Stopping):
        engine.send(Add("a", 1))


def test_a_start_that_fails(tmp_path: Path) -> None:
    url = str(tmp_path / "sums.db")
    with app.blocking(url), pytest.raises(StoreInUse), app.blocking(url):
        pass
    assert engines() == []
    assert active_count() >= 1


def test_a_block_that_fails(tmp_path: Path) -> None:
    url = str(tmp_path / "sums.db")
    with pytest.raises(ZeroDivisionError), app.blocking(url):
        raise ZeroDivisionError
    with app.blocking(url):
        pass
    assert engines() == []


def test_a_caller_that_is_interrupted_waits_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    began, cancelled = Event(), Event()

    async def forever() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    def submit(steps: Any, loop: asyncio.AbstractEventLoop) -> Any:
        answer = original(steps, loop)
        began.wait(30)
        monkeypatch.setattr(answer, "result", interrupt)
        return answer

    def interrupt() -> None:
        raise KeyboardInterrupt

    original = asyncio.run_coroutine_threadsafe
    with app.blocking("memory://") as engine:
        assert isinstance(engine, BlockingEngine)
        monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", submit)
        with pytest.raises(KeyboardInterrupt):
            engine._wait(forever())  # pyright: ignore[reportPrivateUsage]
        assert cancelled.wait(30)
