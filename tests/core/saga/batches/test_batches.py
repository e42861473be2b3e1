"""Batches as the code of a saga sees them: items sent as others settle, counted, listed, undone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from tests.core.driver import Driver
from tests.core.messages import A, ADone, ANo, B, BDone, Ended, Notify, Start, UndoA, UndoB

from sagakit.core.process import Output
from sagakit.core.saga.each import Each
from sagakit.core.saga.operations import Saga
from sagakit.errors import ProcessBug, Refused


def batch(items: Iterable[int], **options: Any) -> Callable[..., Any]:
    async def code(start: Start, saga: Saga) -> Ended:
        result = await saga.each(items, A, then=ADone, **options)
        return Ended(described(result))

    return code


def undo_a(n: int) -> UndoA:
    return UndoA(str(n))


def described(result: Each[int]) -> str:
    return f"{result.done} done, {result.failed} failed: " + ", ".join(f"{one} {why}" for one, why in result.failures())


def started(items: Iterable[int] = range(10), **options: Any) -> Driver:
    driver = Driver(batch(items, **options))
    driver.start()
    return driver


def settle(driver: Driver, outcome: Callable[[Driver, Output], Any] | None = None) -> None:
    """Answer everything that is out, oldest first, until nothing is."""
    while driver.own or driver.pending():
        driver.tell_own()
        for command in driver.pending()[:1]:
            (outcome or done)(driver, command)


def done(driver: Driver, command: Output) -> None:
    driver.answer(command, ADone() if isinstance(command.message, A) else BDone())


def numbers(driver: Driver) -> list[int]:
    return [command.message.n for command in driver.pending()]


def states(driver: Driver) -> list[str]:
    return [driver.items[key].state for key in sorted(driver.items)]


# ---------------------------------------------------------------------- forward


def test_so_many_items_are_in_flight_and_each_that_settles_makes_room_for_the_next() -> None:
    driver = started(range(5), at_once=2)
    assert numbers(driver) == [0, 1]
    driver.answer(driver.pending()[1], ADone())
    assert numbers(driver) == [0, 2]
    driver.answer(driver.pending()[0], ADone())
    assert numbers(driver) == [2, 3]


def test_the_code_goes_on_when_all_are_settled() -> None:
    driver = started(range(5), at_once=2)
    settle(driver)
    assert driver.live.status == "completed"
    assert driver.last(Ended).message == Ended("5 done, 0 failed: ")
    assert states(driver) == ["done"] * 5


def test_what_is_refused_or_unknown_is_counted_and_listed_with_its_reason() -> None:
    driver = started([10, 20, 30, 40], at_once=3)
    outcomes = {10: ANo("no"), 30: None}

    def outcome(driver: Driver, command: Output) -> None:
        n = command.message.n
        if n in outcomes and outcomes[n] is None:
            driver.fail(command, "broken")
        else:
            driver.answer(command, outcomes.get(n, ADone()))

    settle(driver, outcome)
    assert driver.last(Ended).message == Ended("2 done, 2 failed: 10 no, 30 broken")
    assert states(driver) == ["failed", "done", "failed", "done"]


@pytest.mark.parametrize(("count", "pages"), [(1000, 3), (1201, 3)])
def test_many_failures_are_told_in_pages(count: int, pages: int) -> None:
    driver = started(range(count), at_once=100)
    settle(driver, lambda driver, command: driver.answer(command, ANo("no")))
    assert driver.last(Ended).message == Ended(f"0 done, {count} failed: " + ", ".join(f"{n} no" for n in range(count)))
    assert driver.types.count("BatchEnded") == pages
    assert driver.most_read <= 500


def test_no_items_are_done_at_once() -> None:
    driver = started([])
    assert driver.last(Ended).message == Ended("0 done, 0 failed: ")
    assert driver.live.status == "completed"


@pytest.mark.parametrize("items", [[1, 2, 3], (1, 2, 3), range(1, 4), {1: "a", 2: "b", 3: "c"}, iter([1, 2, 3])])
def test_items_may_be_anything_that_comes_in_an_order(items: Any) -> None:
    async def code(start: Start, saga: Saga) -> Ended:
        again = [1, 2, 3] if iter(items) is items else items
        return Ended(described(await saga.each(iter(again) if again is not items else items, A, then=ADone)))

    driver = Driver(code)
    driver.start()
    settle(driver, lambda driver, command: driver.answer(command, ANo("no") if command.message.n == 2 else ADone()))
    assert driver.last(Ended).message == Ended("2 done, 1 failed: 2 no")


def test_what_is_stored_and_what_is_replayed_does_not_grow_with_the_items() -> None:
    few, many = started(range(100), at_once=5), started(range(1000), at_once=5)
    settle(few)
    settle(many)
    assert max(len(row.state) for row in many.rows) < max(len(row.state) for row in few.rows) + 20
    assert len(many.history) == len(few.history) == 2


def test_it_goes_on_after_an_eviction_at_any_point() -> None:
    driver = started(range(20), at_once=3, undo=undo_a)
    step = 0
    while driver.own or driver.pending():
        driver = driver.revived()
        if driver.own:
            driver.react(driver.own.pop(0))
            continue
        command, step = driver.pending()[-1], step + 1
        if step % 5 == 0 and isinstance(command.message, A):
            driver.fail(command)
        else:
            driver.answer(command, ANo("no") if step % 7 == 0 else ADone())
    assert driver.live.status == "completed"
    counts = [states(driver).count(state) for state in ("done", "failed", "undone")]
    assert sum(counts) == 20
    assert driver.last(Ended).message.how.startswith(f"{counts[0]} done, {counts[1] + counts[2]} failed: ")


def test_an_item_has_ids_of_its_own_also_after_an_eviction() -> None:
    async def code(start: Start, saga: Saga) -> None:
        first = saga.new_id("x")
        ids: list[str] = []

        def command(n: int) -> Notify:
            return Notify(saga.new_id("x"))

        await saga.each(range(4), command, then=None, at_once=1)
        saga.publish(Ended(",".join([first, *ids, saga.new_id("x")])))

    def run(*, evicted: bool) -> list[str]:
        driver = Driver(code)
        driver.start()
        while driver.own or driver.pending():
            driver = driver.revived() if evicted else driver
            driver.tell_own()
            for command in driver.pending():
                driver.answer(command)
        return [output.message.text for output in driver.sent if type(output.message) is Notify] + [
            driver.last(Ended).message.how
        ]

    assert run(evicted=True) == run(evicted=False)
    assert len(set(run(evicted=False)[:4])) == 4


def test_two_batches_at_the_same_time() -> None:
    async def code(start: Start, saga: Saga) -> Ended:
        a, b = await saga.all(
            saga.each(range(3), A, then=ADone, at_once=1), saga.each(range(4), B, then=BDone, at_once=2)
        )
        return Ended(f"{a.done} {b.done}")

    driver = Driver(code)
    driver.start()
    assert [type(one.message).__name__ for one in driver.pending()] == ["A", "B", "B"]
    while driver.own or driver.pending():
        driver = driver.revived()
        driver.tell_own()
        for command in driver.pending()[:1]:
            done(driver, command)
    assert driver.last(Ended).message == Ended("3 4")


# ---------------------------------------------------------------------- stopping


def test_at_the_threshold_nothing_new_is_sent_and_the_code_is_refused() -> None:
    driver = started(range(10), at_once=3, stop_at=2)
    for command in driver.pending()[:2]:
        driver.answer(command, ANo("no"))
    assert numbers(driver) == [2, 3]
    settle(driver)
    assert driver.live.status == "compensated"
    assert driver.live.cause == "refused"
    assert driver.live.reason == "2 of 4 t.A failed: no more were sent"


def test_a_share_of_the_items_is_a_threshold_too() -> None:
    driver = started(range(10), at_once=1, stop_at=0.25)
    settle(driver, lambda driver, command: driver.answer(command, ANo("no")))
    assert len(driver.items) == 3


def test_a_stopped_batch_is_undone_before_the_code_is_told() -> None:
    async def code(start: Start, saga: Saga) -> Ended:
        try:
            await saga.each(range(10), A, then=ADone, at_once=1, stop_at=1, undo=undo_a)
        except Refused as refused:
            await saga.do(B(), then=BDone)
            return Ended(refused.reason)
        return Ended("")

    driver = Driver(code)
    driver.start()
    for event in (ADone(), ADone(), ANo("no")):
        driver.answer(driver.pending()[0], event)
    driver = driver.revived()
    driver.tell_own()
    assert [command.message for command in driver.pending()] == [UndoA("1")]
    settle(driver)
    assert driver.last(Ended).message == Ended("1 of 3 t.A failed: no more were sent")
    assert states(driver) == ["undone", "undone", "failed"]


# ---------------------------------------------------------------------- undoing


def refused_after(**options: Any) -> Driver:
    """A batch of five that is done, and a step after it that is refused."""

    async def code(start: Start, saga: Saga) -> None:
        await saga.each(range(5), A, then=ADone, **options)
        await saga.do(B(), then=BDone, undo=UndoB())

    driver = Driver(code)
    driver.start()
    while driver.types[-1] != "B":
        driver.tell_own()
        for command in driver.pending()[:1]:
            if isinstance(command.message, A):
                driver.answer(command, ANo("no") if command.message.n == 3 else ADone())
    return driver


def test_items_are_undone_newest_first_so_many_at_a_time() -> None:
    driver = refused_after(at_once=2, undo=undo_a)
    driver.fail(driver.waiting(B), known_not_done=True)
    driver.tell_own()
    assert [command.message.id for command in driver.pending()] == ["4", "2"]
    driver = driver.revived()
    driver.answer(driver.pending()[0])
    driver.tell_own()
    assert [command.message.id for command in driver.pending()] == ["2", "1"]
    settle(driver)
    assert driver.live.status == "compensated"
    assert states(driver) == ["undone", "undone", "undone", "failed", "undone"]


def test_a_batch_without_undo_is_passed_over() -> None:
    driver = refused_after(at_once=2)
    driver.fail(driver.waiting(B), known_not_done=True)
    assert driver.live.status == "compensated"


def test_an_unknown_item_is_undone_before_it_counts_as_failed() -> None:
    driver = started(range(2), at_once=1, undo=undo_a)
    driver.fail(driver.pending()[0], "broken")
    (undo,) = driver.pending()
    assert undo.message == UndoA("0")
    assert undo.undoes == driver.sent[0].id
    assert states(driver) == ["undoing"]
    driver = driver.revived()
    driver.answer(undo)
    assert numbers(driver) == [1]
    settle(driver)
    assert driver.last(Ended).message == Ended("1 done, 1 failed: 0 broken")


def test_a_cancel_gives_up_what_is_in_flight_and_undoes_it() -> None:
    driver = started(range(10), at_once=3, undo=undo_a)
    driver.answer(driver.pending()[0], ADone())
    given_up = [command.id for command in driver.pending()]
    driver = driver.revived()
    driver.cancel("enough")
    assert driver.withdrawn == given_up
    settle(driver)
    assert driver.live.status == "compensated"
    assert [command.message.id for command in driver.sent if type(command.message) is UndoA] == ["3", "2", "1", "0"]
    assert states(driver) == ["undone"] * 4


def test_a_cancel_of_a_batch_without_undo_ends_at_once() -> None:
    driver = started(range(10), at_once=3)
    driver.revived().cancel("enough")
    driver = started(range(10), at_once=3)
    driver.cancel("enough")
    assert driver.live.status == "compensated"
    assert states(driver) == ["failed"] * 3
    assert {item.reason for item in driver.items.values()} == {"enough"}


def test_a_batch_that_loses_is_undone_before_first_returns() -> None:
    async def code(start: Start, saga: Saga) -> Ended:
        found = await saga.first(saga.do(B(), then=BDone), saga.each(range(4), A, then=ADone, at_once=2, undo=undo_a))
        return Ended(type(found).__name__)

    driver = Driver(code)
    driver.start()
    driver.answer(driver.pending()[1], ADone())
    driver.answer(driver.waiting(B), BDone())
    assert driver.live.status == "running"
    while driver.own or driver.pending():
        driver = driver.revived()
        driver.tell_own()
        for command in driver.pending()[:1]:
            driver.answer(command)
    assert driver.last(Ended).message == Ended("BDone")
    assert states(driver) == ["undone"] * 3


def test_a_failed_undo_holds_up_no_other_item() -> None:
    driver = refused_after(at_once=1, undo=undo_a)
    driver.fail(driver.waiting(B), known_not_done=True)

    def outcome(driver: Driver, command: Output) -> None:
        if command.message == UndoA("2"):
            driver.fail(command, "no way back")
        else:
            driver.answer(command)

    settle(driver, outcome)
    assert driver.live.status == "compensation_failed"
    assert driver.live.reason == "1 undos of t.A failed: no way back"
    assert states(driver) == ["undone", "undone", "undo_failed", "failed", "undone"]


def test_an_unknown_item_that_cannot_be_undone_stops_nothing_until_the_batch_has_ended() -> None:
    driver = started(range(3), at_once=1, undo=undo_a)
    driver.fail(driver.pending()[0], "broken")
    driver.fail(driver.pending()[0], "no way back")
    settle(driver)
    assert driver.live.status == "compensation_failed"
    assert driver.live.reason == "1 undos of t.A failed"
    assert states(driver) == ["undo_failed", "done", "done"]


# ---------------------------------------------------------------------- late


def test_a_success_after_the_undo_sends_the_undo_once_more() -> None:
    driver = started(range(3), at_once=1, undo=undo_a)
    late = driver.pending()[0]
    driver.fail(late, "broken")
    first = driver.pending()[0]
    driver.answer(first)
    settle(driver)
    assert driver.live.status == "completed"
    driver = driver.revived()
    driver.answer(late, ADone())
    (again,) = driver.pending()
    assert again.message == UndoA("0")
    assert again.id != first.id
    assert states(driver)[0] == "undoing"
    driver.answer(again)
    assert states(driver)[0] == "undone"
    assert driver.live.status == "completed"


def test_a_success_while_the_undo_is_out_replaces_it() -> None:
    driver = started(range(1), undo=undo_a)
    late = driver.pending()[0]
    driver.fail(late, "broken")
    first = driver.pending()[0]
    driver.answer(late, ADone())
    assert driver.withdrawn == [first.id]
    driver.answer(first)  # nobody's any more
    assert states(driver) == ["undoing"]
    settle(driver)
    assert driver.last(Ended).message == Ended("0 done, 1 failed: 0 broken")


def test_a_doubled_outcome_changes_nothing() -> None:
    driver = started(range(3), at_once=1)
    first = driver.pending()[0]
    driver.answer(first, ADone())
    driver.answer(first, ANo("no"))
    driver = driver.revived()
    driver.answer(first, ANo("no"))
    settle(driver)
    assert driver.last(Ended).message == Ended("3 done, 0 failed: ")


def test_a_refusal_after_a_cancel_needs_no_undo() -> None:
    driver = started(range(2), at_once=2, undo=undo_a)
    first, second = driver.pending()
    driver.cancel()
    driver.answer(first, ANo("no"))
    settle(driver)
    assert [command.undoes for command in driver.sent if type(command.message) is UndoA] == [second.id]
    assert driver.live.status == "compensated"


# ---------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("items", "options", "says"),
    [
        ([1], {"at_once": 0}, "at_once=0"),
        ([1], {"at_once": 1001}, "at most|from 1 to 1000"),
        ([1], {"stop_at": 0}, "stop_at=0"),
        ([1], {"stop_at": 1.5}, "stop_at=1.5"),
        ({1, 2}, {}, "sorted"),
        ([1], {"undo": UndoA()}, "undo=UndoA"),
    ],
)
def test_what_is_asked_wrongly_names_the_line_and_the_mend(items: Any, options: dict[str, Any], says: str) -> None:
    driver = Driver(batch(items, **options))
    with pytest.raises(ProcessBug, match=r"line \d+ of test_batches.py: .*" + f"({says})"):
        driver.start()


def test_a_command_that_cannot_be_built_names_the_item_and_the_line() -> None:
    def command(n: int) -> A:
        return A(1 // n)

    async def code(start: Start, saga: Saga) -> None:
        await saga.each([1, 0], command, then=ADone, at_once=1)

    driver = Driver(code)
    driver.start()
    with pytest.raises(ProcessBug, match=r"item 1: line \d+ of test_batches.py: ZeroDivisionError"):
        driver.answer(driver.pending()[0], ADone())


def test_the_functions_of_a_batch_do_nothing_but_build() -> None:
    async def code(start: Start, saga: Saga) -> None:
        def command(n: int) -> A:
            saga.publish(Ended())
            return A(n)

        await saga.each([1], command, then=ADone)

    with pytest.raises(ProcessBug, match="build a command and do nothing else"):
        Driver(code).start()


def test_other_items_than_were_recorded_are_found_out() -> None:
    items = [1, 2, 3]
    driver = started(items, at_once=1)
    items.append(4)
    driver = driver.revived()
    with pytest.raises(ProcessBug, match="a batch of 3 items is recorded, the code now gives 4"):
        driver.answer(driver.pending()[0], ADone())
    driver = driver.revived()
    driver.cancel("so be it")
    assert driver.live.status == "compensated"
