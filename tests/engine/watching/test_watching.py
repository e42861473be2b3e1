"""send_and_wait: the awaited event once it is durable; a refusal as soon as it cannot come any more."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.each_store import ON_EACH_STORE, new_store, only_on
from tests.engine.stage import Ask, Declined, Stage, Told, asking_app, until
from tests.engine.watching.watched import Begun, Nudged, counting

from sagakit import App, OutcomeUnknown, Receipt, Refused, Saga, Stopping, TerminalError, Update, WaitTimeout
from sagakit.engine.limits import Limits
from sagakit.stores.sqlite.store import SqliteStore
from sagakit.testing.manual import ManualEngine, engine

pytestmark = ON_EACH_STORE


class Broken(TerminalError):
    pass


@dataclass(frozen=True)
class Place:
    key: str = "a"


@dataclass(frozen=True)
class Placed:
    key: str


@dataclass(frozen=True)
class Cancel:
    key: str
    reason: str


@dataclass(frozen=True)
class Cancelled:
    key: str
    reason: str


@dataclass(frozen=True)
class Announced:
    key: str


@dataclass(frozen=True)
class Never:
    key: str


def placing_app() -> App:
    app = asking_app()

    @app.handles
    async def place(command: Place) -> Placed:
        return Placed(command.key)

    @app.handles
    async def cancel(command: Cancel) -> Cancelled:
        return Cancelled(command.key, command.reason)

    @app.saga(key="key")
    async def saga(placed: Placed, saga: Saga) -> None:
        saga.on_undo(lambda undo: Cancel(placed.key, undo.reason))
        await saga.do(Ask(placed.key), then=Told)

    @app.publishes
    async def announce(event: Cancelled) -> Announced:
        return Announced(event.key)

    @app.on
    async def hears(event: Never) -> None:
        pass

    return app


async def test_gives_the_event_once_it_is_durable() -> None:
    stage, store = Stage(), new_store()
    async with engine(placing_app(), store=store, provide={Stage: stage}) as running:
        assert await running.send_and_wait(Place(), until=Told) == Told("a", 0)
        assert "t.Told" in [message.type for message in await store.read_messages()]
        assert await running.send_and_wait(Place("b"), until=Placed) == Placed("b")
        assert not running._watching


async def test_the_first_of_several_counts() -> None:
    stage = Stage()
    stage.will(Ask(), [Declined("a", "no")])
    async with engine(placing_app(), provide={Stage: stage}) as running:
        assert await running.send_and_wait(Place(), until=(Told, Cancelled)) == Cancelled("a", "no")


async def test_a_refusal_is_told_at_once_where_nothing_else_can_come() -> None:
    stage = Stage()
    stage.will(Ask(), [Declined("a", "not for you")])
    async with engine(placing_app(), provide={Stage: stage}) as running:
        with pytest.raises(Refused, match="not for you"):
            await running.send_and_wait(Place(), until=Told)
        assert await running.status("t.saga", "a") in ("undoing", "compensated")


async def test_an_outcome_that_undoing_may_still_lead_to_is_waited_for() -> None:
    stage = Stage()
    stage.will(Ask(), Broken("no way"))
    async with engine(placing_app(), provide={Stage: stage}) as running:
        assert await running.send_and_wait(Place(), until=(Told, Cancelled)) == Cancelled("a", "Broken: no way")


async def test_so_is_what_a_forwarder_makes_of_it() -> None:
    stage = Stage()
    stage.will(Ask(), [Declined("a", "no")])
    async with engine(placing_app(), provide={Stage: stage}) as running:
        assert await running.send_and_wait(Place(), until=(Told, Announced)) == Announced("a")


async def test_an_unknown_outcome_is_told_as_such() -> None:
    stage = Stage()
    stage.will(Ask(), Broken("no way"))
    async with engine(placing_app(), provide={Stage: stage}) as running:
        with pytest.raises(OutcomeUnknown, match="Broken: no way"):
            await running.send_and_wait(Place(), until=Told)


async def test_the_refusal_of_the_command_itself() -> None:
    stage = Stage()
    stage.will(Ask(), [Declined("a", "not for you")], [])
    async with engine(asking_app(), provide={Stage: stage}) as running:
        with pytest.raises(Refused, match="not for you") as refused:
            await running.send_and_wait(Ask(), until=Told)
        assert refused.value.event == Declined("a", "not for you")
        with pytest.raises(Refused, match=r"t\.Ask led to no event"):
            await running.send_and_wait(Ask(), until=Told)


async def test_a_command_that_is_given_up() -> None:
    stage = Stage()
    stage.will(Ask(), Broken("no way"))
    async with engine(asking_app(), provide={Stage: stage}) as running:
        with pytest.raises(OutcomeUnknown, match="Broken: no way"):
            await running.send_and_wait(Ask(), until=Told)


async def test_a_side_story_that_fails_is_not_the_answer() -> None:
    stage, app = Stage(), placing_app()

    @app.on
    async def mails(event: Placed) -> None:
        raise Broken("no mail today")

    stage.closes(Ask())
    async with engine(app, provide={Stage: stage}) as running:
        waiting = asyncio.create_task(running.send_and_wait(Place(), until=Told))
        await until(lambda: stage.began)
        await running.advance(seconds=1)
        assert not waiting.done()
        stage.opens(Ask())
        assert await waiting == Told("a", 0)


async def test_a_process_that_parks_is_told() -> None:
    app = asking_app()

    @app.handles
    async def place(command: Place) -> Placed:
        return Placed(command.key)

    @app.saga(key="key")
    async def saga(placed: Placed, saga: Saga) -> None:
        await saga.do(Ask(placed.key), then=Told)
        raise ValueError("a bug")

    async with engine(app, provide={Stage: Stage()}) as running:
        with pytest.raises(OutcomeUnknown, match=r"t\.saga is parked: .*ValueError: a bug"):
            await running.send_and_wait(Place(), until=Never)


async def test_the_wait_has_an_end_and_cancels_nothing() -> None:
    stage = Stage()
    stage.closes(Ask())
    async with engine(placing_app(), provide={Stage: stage}) as running:
        waiting = asyncio.create_task(running.send_and_wait(Place(), until=Told, timeout=5))
        await until(lambda: stage.began)
        await running.advance(seconds=4.999)
        assert not waiting.done()
        await running.advance(seconds=0.001)
        with pytest.raises(WaitTimeout, match="no Told within 5 s"):
            await waiting
        stage.opens(Ask())
        await running.settle()
        assert await running.status("t.saga", "a") == "completed"


async def test_a_repeated_key_looks_back() -> None:
    stage = Stage()
    async with engine(placing_app(), provide={Stage: stage}) as running:
        first = await running.send_and_wait(Place(), until=Told, idempotency_key="k")
        again = await running.send_and_wait(Place(), until=Told, idempotency_key="k")
        assert first == again
    assert len(stage.began) == 1


async def test_a_repeated_key_waits_for_what_has_not_come_yet() -> None:
    stage = Stage()
    stage.closes(Ask())
    async with engine(placing_app(), provide={Stage: stage}) as running:
        first = asyncio.create_task(running.send_and_wait(Place(), until=Told, idempotency_key="k"))
        await until(lambda: stage.began)
        again = asyncio.create_task(running.send_and_wait(Place(), until=Told, idempotency_key="k"))
        await running.advance(seconds=0)
        stage.opens(Ask())
        assert await asyncio.gather(first, again) == [Told("a", 0)] * 2


async def test_a_failure_while_it_looks_back_does_not_hide_what_came_before(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    stage.closes(Ask())
    stage.will(Ask(), Declined("a", "no"))
    async with engine(placing_app(), provide={Stage: stage}) as running:
        first = await running.send_and_wait(Place(), until=Placed, idempotency_key="k")
        await until(lambda: stage.began)
        read_story = running.store.read_story

        async def failing_meanwhile(*args: Any, **options: Any) -> Any:
            stage.opens(Ask())
            await until(lambda: running.idle)  # to settle would be to wait for this answer
            return await read_story(*args, **options)

        monkeypatch.setattr(running.store, "read_story", failing_meanwhile)
        assert await running.send_and_wait(Place(), until=Placed, idempotency_key="k") == first


async def test_a_failure_while_it_looks_back_is_told_where_nothing_came(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    stage.closes(Ask())
    stage.will(Ask(), Declined("a", "no"))
    async with engine(placing_app(), provide={Stage: stage}) as running:
        await running.send_and_wait(Place(), until=Placed, idempotency_key="k")
        await until(lambda: stage.began)
        read_story = running.store.read_story

        async def failing_meanwhile(*args: Any, **options: Any) -> Any:
            story = await read_story(*args, **options)
            stage.opens(Ask())
            await until(lambda: running.idle)  # to settle would be to wait for this answer
            return story

        monkeypatch.setattr(running.store, "read_story", failing_meanwhile)
        with pytest.raises(Refused, match="no"):
            await running.send_and_wait(Place(), until=Told, idempotency_key="k")


async def test_a_long_story_is_looked_back_at_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sagakit.engine.watching.looking_back.STORY_PAGE", 2)
    async with engine(placing_app(), provide={Stage: Stage()}) as running:
        await running.send_and_wait(Place(), until=Told, idempotency_key="k")
        assert await running.send_and_wait(Place(), until=Told, idempotency_key="k") == Told("a", 0)


async def test_a_refused_send_leaves_no_waiter() -> None:
    async with engine(placing_app(), provide={Stage: Stage()}, limits=Limits(unfinished=0)) as running:
        with pytest.raises(Exception, match="unfinished"):
            await running.send_and_wait(Place(), until=Told)
        assert not running._watching


async def test_nobody_waits_on_for_an_engine_that_has_stopped() -> None:
    stage = Stage()
    stage.closes(Ask())
    async with engine(placing_app(), provide={Stage: stage}, limits=Limits(stop_within=0.01)) as running:
        waiting = asyncio.create_task(running.send_and_wait(Place(), until=Told))
        await until(lambda: stage.began)
    with pytest.raises(Stopping, match="may still come"):
        await waiting


@only_on("memory", because="the next one that opens it takes it away")
async def test_nor_for_one_that_cannot_go_on() -> None:
    stage, store = Stage(), new_store()
    stage.closes(Ask())
    async with engine(placing_app(), store=store, provide={Stage: stage}) as running:
        waiting = asyncio.create_task(running.send_and_wait(Place(), until=Told))
        await until(lambda: stage.began)
        await store.again().open()
        stage.opens(Ask())
        with pytest.raises(Stopping, match="another engine"):
            await waiting


async def test_what_is_sent_for_later_is_waited_for() -> None:
    stage = Stage()
    async with engine(placing_app(), provide={Stage: stage}) as running:
        receipt = await running.send(Place(), after=60)
        waiting = asyncio.create_task(running.wait(until=Told, correlation_id=receipt.correlation_id, timeout=100))
        await running.advance(seconds=59)
        assert not waiting.done()
        await running.advance(seconds=1)
        assert await waiting == Told("a", 0)


async def test_a_bug_among_those_who_wait_stops_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    stage.closes(Ask())
    async with engine(placing_app(), provide={Stage: stage}) as running:
        waiting = asyncio.create_task(running.send_and_wait(Place(), until=Told, timeout=5))
        await until(lambda: stage.began)
        monkeypatch.setattr(running._watching._stories, "committed", lambda draft: 1 / 0)
        stage.opens(Ask())
        await running.settle()
        assert await running.status("t.saga", "a") == "completed"
        await running.advance(seconds=5)
        with pytest.raises(WaitTimeout):
            await waiting


@pytest.mark.parametrize("restarted", [False, True])
async def test_on_a_file(tmp_path: Path, restarted: bool) -> None:
    stage = Stage()
    stage.will(Ask("b"), Declined("b", "no"))
    async with engine(placing_app(), store=SqliteStore(tmp_path / "t.db"), provide={Stage: stage}) as running:
        good, bad = [await running.send(Place(key), idempotency_key=key) for key in ("a", "b")]
        await running.settle()
        await _look_back(running, good, bad) if not restarted else None
    async with engine(placing_app(), store=SqliteStore(tmp_path / "t.db"), provide={Stage: stage}) as running:
        await _look_back(running, good, bad)


async def _look_back(running: ManualEngine, good: Receipt, bad: Receipt) -> None:
    assert await running.wait(until=Told, correlation_id=good.correlation_id) == Told("a", 0)
    for _ in range(2):
        with pytest.raises(Refused, match="no"):
            await running.wait(until=Told, correlation_id=bad.correlation_id)
    with pytest.raises(Refused, match="no"):
        await running.send_and_wait(Place("b"), until=Told, idempotency_key="b")
    for after in range(3):
        updates = [update async for update in running.watch("t.saga", "a", after=str(after))]
        assert [update.cursor for update in updates] == [str(number) for number in range(after + 1, 3)]
    story = [update.state async for update in running.watch(correlation_id=bad.correlation_id, after="0")]
    assert story == ["t.Place", "t.Placed", "t.Ask", "t.Declined", "t.Cancel", "t.Cancelled", "t.Announced"]
    assert not running._watching


# ---------------------------------------------------------------------- many


class Counted(asyncio.SelectorEventLoop):
    """An event loop that counts how often it is given something to do."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = 0

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        self.turns += 1
        return super().call_soon(callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
        self.turns += 1
        return super().call_at(when, callback, *args, context=context)


MANY = 10_000


def test_ten_thousand_who_wait_give_the_loop_nothing_to_do() -> None:
    async def turns_of_one_event(running: ManualEngine, key: str) -> int:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Counted)
        before = loop.turns
        await running.publish(Nudged(key, 1))
        await running.settle()
        return loop.turns - before

    async def main(loop: Counted) -> None:
        async with engine(counting()) as running:
            began = [await running.publish(Begun(str(number))) for number in range(MANY)]
            await turns_of_one_event(running, "0")
            alone = await turns_of_one_event(running, "0")

            waiting = [
                asyncio.create_task(
                    anext_but_one(running, str(number))
                    if number % 2
                    else running.wait(until=Nudged, correlation_id=receipt.correlation_id, timeout=3600)
                )
                for number, receipt in enumerate(began)
            ]
            await running.settle()
            while loop._ready:  # type: ignore[attr-defined]
                await asyncio.sleep(0)
            # each has a place in one heap, whose first one is what the engine sleeps for
            assert len(running._timers._heap) == MANY // 2
            assert len(running.hand._sleepers) == 1
            assert loop._scheduled == []  # type: ignore[attr-defined]

            before = loop.turns
            for _ in range(100):
                await asyncio.sleep(0)
            assert loop.turns - before <= 110, "only the sleeps of this test"
            assert await turns_of_one_event(running, "1") <= alone + 10, "one is told, not all"
            assert [one.done() for one in waiting].count(True) == 1
            for one in waiting:
                one.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            assert not running._watching

    with asyncio.Runner(loop_factory=Counted) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, Counted)
        runner.run(main(loop))


async def anext_but_one(running: ManualEngine, key: str) -> Update:
    async with aclosing(running.watch("t.count", key)) as updates:
        await anext(updates)
        return await anext(updates)
