"""What holds for every batch, whatever becomes of its items and in which order, and however often it is evicted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.core.driver import Driver, stored
from tests.core.messages import A, ADone, ANo, B, BDone, BNo, Ended, Odd, Start, UndoA, Undone

from sagakit.core.commit import ENDED
from sagakit.core.lifecycle import OperatorActed
from sagakit.core.process import Output
from sagakit.core.saga.batches import batches
from sagakit.core.saga.code_saga import SagaDefinition
from sagakit.core.saga.operations import Saga
from sagakit.errors import Refused

THOROUGH = settings(deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(autouse=True, scope="module")
def small_pages() -> Iterator[None]:
    """Pages of two rows, so that a few items need several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sagakit.core.saga.batches.forward.FAILURES", 2)
        patch.setattr(batches, "_PAGES", {what: (states, 2) for what, (states, _) in batches._PAGES.items()})
        yield


def test_an_old_item_in_flight_is_undone_in_its_place() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.each(range(8), A, then=ADone, at_once=2, undo=lambda n: UndoA(str(n)))

    driver = Driver(code)
    driver.start()
    for _ in range(5):  # all but the first one
        driver.answer(driver.pending()[-1], ADone())
    driver.cancel()
    while driver.pending() or driver.own:
        driver = driver.revived()
        driver.tell_own()
        for command in driver.pending()[:1]:
            driver.answer(command)
    assert [one.message.id for one in driver.sent if isinstance(one.message, UndoA)] == [*"6543210"]


class World:
    """Items that come to what is drawn."""

    def __init__(self, draw: Callable[[Any], Any]) -> None:
        self.draw = draw
        self.count, self.at_once = draw(st.integers(1, 12)), draw(st.integers(1, 4))
        self.stop_at = draw(st.none() | st.integers(1, 4))
        self.undo = draw(st.booleans())
        self.catches = draw(st.booleans())
        self.then: Any = draw(st.sampled_from(["ends", "refused", "waits"]))
        self.driver = Driver(self.code)
        self.outcomes: dict[str, str] = {}
        self.most = 0

    async def code(self, start: Start, saga: Saga) -> Ended | None:
        undo = (lambda n: UndoA(str(n))) if self.undo else None
        try:
            told = await saga.each(
                range(self.count), A, then=ADone, at_once=self.at_once, stop_at=self.stop_at, undo=undo
            )
        except Refused as refused:
            if not self.catches:
                raise
            return Ended(refused.reason)
        if self.then != "ends":
            await saga.do(B(), then=BDone)
        return Ended(f"{told.done} {told.failed} {sorted(n for n, _ in told.failures())}")

    def run(self) -> None:
        self.driver.start()
        self.run_on()

    def rerun(self) -> None:
        """An operator has the failed ones sent again."""
        driver, definition = self.driver, self.driver.definition
        assert isinstance(definition, SagaDefinition)
        driver.live = definition.reopen(msgspec.structs.replace(driver.row), stored(driver.history), 1)
        acted = OperatorActed(action="rerun_failed", target="k", by="ada", reason="again", details={"step": "1"})
        driver.react(driver.envelope(acted))
        self.run_on()

    def run_on(self) -> None:
        driver = self.driver
        cancelled = self.draw(st.integers(0, 60))
        for step in range(400):
            if driver.live.status in (*ENDED, "compensation_failed") and not driver.own and not driver.pending():
                return
            if self.draw(st.integers(0, 4)) == 0:
                self.driver = driver = driver.revived()
            if step == cancelled:
                driver.cancel("by hand")
            self.step()
            self.check()
        raise AssertionError(f"never ends: {driver.live.status}, {driver.types[-5:]}")

    def step(self) -> None:
        driver = self.driver
        pending = driver.pending()
        if driver.own and (not pending or self.draw(st.booleans())):
            driver.react(driver.own.pop(0))
        elif pending:
            self.answer(self.draw(st.sampled_from(pending)))

    def answer(self, command: Output) -> None:
        driver = self.driver
        if isinstance(command.message, B):
            driver.answer(command, BDone() if self.then == "waits" else BNo())
        elif isinstance(command.message, UndoA):
            self.outcomes[command.id] = "undone"
            driver.answer(command, Undone())
        else:
            kind = self.draw(st.sampled_from(["done"] * 6 + ["refused", "broken", "odd", "late"]))
            self.outcomes[command.id] = kind
            if kind == "done":
                driver.answer(command, ADone())
            elif kind == "refused":
                driver.answer(command, ANo("no"))
            elif kind == "odd":
                driver.answer(command, Odd())
            else:
                driver.fail(command, "broken")
                if kind == "late":
                    driver.answer(command, ADone())

    def check(self) -> None:
        driver = self.driver
        for batch in driver.record.batches:
            assert batch.in_flight <= self.at_once
            assert batch.done + batch.failed + len(batch.out) <= batch.next <= self.count
        assert len(driver.row.state) < 700 + 40 * self.at_once


@THOROUGH
@given(st.data())
def test_every_item_is_accounted_for(data: st.DataObject) -> None:
    world = World(data.draw)
    world.run()
    driver = world.driver
    dos = [one for one in driver.sent if isinstance(one.message, A)]
    assert all(count == 1 for count in Counter(one.id for one in driver.sent).values())
    assert len({one.id for one in dos}) == len(dos) == len(driver.items)
    states = Counter(item.state for item in driver.items.values())
    assert not states["undoing"]
    assert not states["sent"] or not world.undo
    undone = Counter(one.undoes for one in driver.sent if isinstance(one.message, UndoA))
    if driver.live.status == "completed" and driver.record.batches[0].state == "ended":
        done = {item.command_id for item in driver.items.values() if item.state == "done"}
        assert done == {id for id, kind in world.outcomes.items() if kind == "done"}
        assert not done & set(undone)
    if driver.live.status == "compensated" and world.undo:
        may_be_done = {one.id for one in dos if world.outcomes.get(one.id, "given up") != "refused"}
        assert set(undone) == may_be_done, "what may have been done is undone, and nothing else"
        assert not states["done"]
    if not world.undo:
        assert not undone


@THOROUGH
@given(st.data())
def test_what_the_code_is_told_is_what_has_happened(data: st.DataObject) -> None:
    world = World(data.draw)
    world.stop_at, world.then = None, "ends"
    world.run()
    if world.driver.live.status != "completed":
        return
    by_number = {one.message.n: world.outcomes[one.id] for one in world.driver.sent if isinstance(one.message, A)}
    failed = sorted(number for number, kind in by_number.items() if kind != "done")
    assert world.driver.last(Ended).message == Ended(f"{world.count - len(failed)} {len(failed)} {failed}")


@THOROUGH
@given(st.data())
def test_reruns_send_just_what_failed(data: st.DataObject) -> None:
    world = World(data.draw)
    world.stop_at, world.then = None, "ends"
    world.run()
    for _ in range(3):
        batch = world.driver.record.batches[0]
        if world.driver.live.status != "completed" or not batch.failed:
            break
        failed = {key for key, item in world.driver.items.items() if item.state != "done"}
        before = len(world.driver.sent)
        world.rerun()
        again = [one.message.n for one in world.driver.sent[before:] if isinstance(one.message, A)]
        assert set(again) <= {index for _, index in failed}
        assert len(set(again)) == len(again)
        if world.driver.live.status == "completed":
            assert len(again) == len(failed)
            assert batch.done + batch.failed <= world.count
    assert all(count == 1 for count in Counter(one.id for one in world.driver.sent).values())
