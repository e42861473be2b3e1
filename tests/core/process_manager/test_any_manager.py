"""What holds for every process manager, whatever comes and in whatever order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.driver import Driver
from tests.core.managers import manager
from tests.core.messages import A, ADone, ANo, B, BDone, BNo, Odd, Start, UndoA, UndoB, Undone

from sagakit.core.lifecycle import Cancelled, Failed
from sagakit.core.process_manager.answers import End, Undoing


@dataclass(frozen=True)
class Pair:
    """A and B at once; what is done or unknown is undone by itself if one of them is not done."""

    settled: tuple[str, ...] = ()  # in order: a set is written in no particular one
    stopped: bool = False
    undone: int = 0

    def evolve(self, event: ADone | BDone | ANo | BNo | Failed[Any] | Cancelled | Undone) -> Pair:
        match event:
            case ADone() | BDone():
                return Pair(tuple(sorted({*self.settled, type(event).__name__})), self.stopped, self.undone)
            case Undone():
                return Pair(self.settled, self.stopped, self.undone + 1)
            case _:
                return Pair(self.settled, True, self.undone)

    def react(self, event: Start | ADone | BDone | ANo | BNo | Failed[Any] | Cancelled | Undone) -> Any:
        match event:
            case Start():
                return [A(), B()]
            case Undone():
                return End("compensated") if self.undone == 2 else None
            case ADone() | BDone() if len(self.settled) == 2:
                return End()
            case ANo() | BNo() | Failed() | Cancelled() if not self.undone:
                return [Undoing(UndoB(), of=B()), Undoing(UndoA(), of=A())]
            case _:
                return None


TAKES = (ADone, BDone, ANo, BNo, Failed, Cancelled, Undone)
PAIR = manager(Pair, TAKES, (Start, *TAKES))

moves = st.lists(
    st.tuples(
        st.sampled_from([A, B, UndoA, UndoB]), st.sampled_from(["done", "no", "odd", "nothing", "fail", "cancel"])
    ),
    max_size=12,
)


def move(driver: Driver, of: type, kind: str) -> None:
    if kind == "cancel":
        driver.cancel()
        return
    sent = [output for output in driver.sent if type(output.message) is of]
    if not sent:
        return
    done: dict[type, Any] = {A: ADone(), B: BDone()}
    no: dict[type, Any] = {A: ANo(), B: BNo()}
    match kind:
        case "done":
            driver.answer(sent[-1], done.get(of, Undone()))
        case "no":
            driver.answer(sent[-1], no.get(of, Undone()))
        case "odd":
            driver.answer(sent[-1], Odd())
        case "nothing":
            driver.answer(sent[-1])
        case _:
            driver.fail(sent[-1])


@settings(deadline=None, max_examples=300)
@given(moves)
def test_it_goes_on_the_same_from_what_is_stored(story: list[tuple[type, str]]) -> None:
    driver = Driver(PAIR)
    driver.start()
    for of, kind in story:
        if "UndoA" in driver.types and kind == "cancel":
            continue
        again = driver.revived()
        move(driver, of, kind)
        move(again, of, kind)
        assert [(one.id, one.payload, one.undoes) for one in again.sent] == [
            (one.id, one.payload, one.undoes) for one in driver.sent
        ]
        assert again.withdrawn == driver.withdrawn
        assert again.live.status == driver.live.status
        assert again.live.snapshot() == driver.live.snapshot()


@settings(deadline=None, max_examples=300)
@given(moves)
def test_each_command_is_undone_once_and_once_more_for_a_late_success(story: list[tuple[type, str]]) -> None:
    driver = Driver(PAIR)
    driver.start()
    late: set[str] = set()
    for of, kind in story:
        if "UndoA" in driver.types and kind == "cancel":
            continue
        given_up = {output.id for output in driver.sent if output.id in driver.withdrawn}
        target = next((one.id for one in reversed(driver.sent) if type(one.message) is of), "")
        if kind in ("done", "no", "odd") and target in given_up and of in (A, B):
            late.add(target)
        move(driver, of, kind)
    for command in driver.sent:
        undos = [one for one in driver.sent if one.undoes == command.id]
        assert len(undos) <= (2 if command.id in late else 1)
    stood = ["running", *(row.status for row in driver.rows)]
    for before, after, entry in zip(stood, stood[1:], driver.history, strict=False):
        if before == after == "compensation_failed":
            assert not entry.outputs, "nothing goes out"
