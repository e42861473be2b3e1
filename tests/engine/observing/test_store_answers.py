"""Whether the store answers: a question while somebody wants to know, and the Commit that is under way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.engine.stage import Ask, Stage, asking_app, until
from tests.stores.postgres.proxy import proxied

from sagakit.engine.observing import store_answers
from sagakit.errors import StoreFailed
from sagakit.stores.memory import MemoryStore
from sagakit.testing.manual import ManualEngine, engine

HANGS = "the store does not answer: it was asked {} s ago"


class Slow(MemoryStore):
    """Answers some questions once it may."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = asyncio.Event()
        self.answers.set()
        self.fails: Exception | None = None
        self.asked = 0

    async def read_delivery(self, id: int) -> Any:
        self.asked += 1
        await self.answers.wait()
        if self.fails is not None:
            raise self.fails
        return await super().read_delivery(id)

    async def commit(self, commits: Any) -> Any:
        await self.answers.wait()
        return await super().commit(commits)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_answers, "PATIENCE", 0.0)


def hung(store: Slow) -> Any:
    return engine(asking_app(), store=store, provide={Stage: Stage()})


async def answered(running: ManualEngine) -> None:
    """What was asked is answered."""
    await until(lambda: running._answers._asking is None)


async def test_a_store_that_hangs_is_missed_after_a_while_and_asked_once() -> None:
    store = Slow()
    async with hung(store) as running:
        assert await running.look_ready() is None
        await answered(running)
        store.answers.clear()
        asked = store.asked
        for second in range(5):
            assert await running.look_ready() is None, f"after {second} s it may still be slow"
            running.hand.set(running.clock.now() + 1_000_000)
        assert await running.look_ready() == HANGS.format(5)
        assert store.asked == asked + 1
        store.answers.set()
        await answered(running)
        assert running.ready() is None


async def test_a_commit_that_gets_no_answer_is_missed_too() -> None:
    store = Slow()
    async with hung(store) as running:
        store.answers.clear()
        sending = asyncio.create_task(running.send(Ask()))
        await until(lambda: running._committer.asked_at is not None)
        assert running.ready() is None
        running.hand.set(running.clock.now() + 7_000_000)
        assert running.ready() == HANGS.format(7)
        store.answers.set()
        await sending
        await running.settle()
        assert running.ready() is None


@pytest.mark.parametrize(
    ("error", "said"), [(StoreFailed("no server"), "no server"), (KeyError("row"), "KeyError('row')")]
)
async def test_a_store_that_fails_where_nothing_is_written_is_missed_at_once(error: Exception, said: str) -> None:
    store = Slow()
    async with hung(store) as running:
        store.fails = error
        await running.look_ready()
        await answered(running)
        assert running.ready() == said
        store.fails = None
        await running.look_ready()
        await answered(running)
        assert running.ready() is None


async def test_who_waits_for_a_person_is_known_as_of_late_while_the_store_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store_answers, "PATIENCE", 10.0)
    store = Slow()
    async with hung(store) as running:
        stuck = dict((await running.standing()).stuck)
        assert stuck == {"parked": 0, "compensation_failed": 0}
        monkeypatch.setattr(store_answers, "PATIENCE", 0.0)
        store.answers.clear()
        standing = await running.standing()
        assert (dict(standing.stuck), standing.ready) == (stuck, True)
        running.hand.set(running.clock.now() + 5_000_000)
        assert not (await running.standing()).ready
        store.answers.set()


async def test_nobody_waits_for_the_answer_once_the_engine_has_stopped() -> None:
    store = Slow()
    async with hung(store) as running:
        await running.look_ready()
        await answered(running)
        store.answers.clear()
        await running.look_ready()
        asking = running._answers._asking
        assert asking is not None
    await asyncio.wait({asking})
    assert asking.cancelled()
    assert running.ready() == "the engine is being stopped"


@pytest.mark.long
async def test_a_postgresql_that_hangs_and_goes_on(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_answers, "OVERDUE", 50_000)
    async with proxied(postgres_url) as (url, wire), asking_app().engine(url, provide={Stage: Stage()}) as running:
        await until(lambda: running.ready() is None)
        wire.flows.clear()
        sending = asyncio.create_task(running.send(Ask()))
        async with asyncio.timeout(20):
            while await running.look_ready() is None:
                await asyncio.sleep(0)
        assert "does not answer" in (running.ready() or "")
        wire.flows.set()
        await sending
        async with asyncio.timeout(20):
            while await running.look_ready() is not None:
                await asyncio.sleep(0)
