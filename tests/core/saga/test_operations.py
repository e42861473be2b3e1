"""What the author of a saga may do wrong with its operations, and what each is told: the line, and what it was."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Awaitable, Generator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.core.driver import BEGIN, Driver, logged
from tests.core.messages import (
    A,
    ADone,
    ANo,
    B,
    BDone,
    C,
    CDone,
    Ended,
    Notified,
    Notify,
    Odd,
    Paid,
    Shipped,
    Start,
    UndoA,
    UndoB,
    UndoC,
    Unhandled,
)

from sagakit.core.saga.operations import Saga
from sagakit.errors import NotDone, ProcessBug, Refused

HERE = "test_operations.py"


def bug_of(code: Any, *then: Any) -> str:
    """What a saga is told to have done wrong, at its start or with the last of these events for A."""
    driver = Driver(code)
    if not then:
        with pytest.raises(ProcessBug) as bug:
            driver.start()
        return str(bug.value)
    driver.start()
    with pytest.raises(ProcessBug) as bug:
        driver.answer(driver.last(A), *then)
    return str(bug.value)


def line(code: Any, below: int) -> str:
    """The place so many lines below the `async def`."""
    return f"line {code.__code__.co_firstlineno + below} of {HERE}"


# ---------------------------------------------------------------------- never awaited


def test_a_do_that_was_never_awaited_is_found_at_once() -> None:
    async def code(start: Start, saga: Saga) -> None:
        saga.do(A(), then=ADone)  # type: ignore[unused-coroutine]
        await saga.do(B(), then=BDone)

    assert bug_of(code) == f"{line(code, 1)}: do(A) was never awaited"


def test_an_operation_kept_and_never_awaited_is_found_at_the_end() -> None:
    async def code(start: Start, saga: Saga) -> None:
        forgotten = saga.receive(Paid)
        await saga.do(A(), then=ADone)
        del forgotten

    assert bug_of(code, ADone()) == f"{line(code, 1)}: receive(Paid) was never awaited"


@pytest.mark.filterwarnings("ignore:coroutine")
@pytest.mark.parametrize("what", ["all", "first"])
def test_a_join_that_was_never_awaited_is_found(what: str) -> None:
    async def code(start: Start, saga: Saga) -> None:
        join = getattr(saga, what)
        join(saga.do(A(), then=ADone), saga.do(B(), then=BDone))

    assert bug_of(code) == f"{line(code, 2)}: {what}(...) was never awaited"


def test_an_undo_that_was_never_awaited_is_found() -> None:
    async def code(start: Start, saga: Saga) -> None:
        saga.undo()  # type: ignore[unused-coroutine]

    assert bug_of(code) == f"{line(code, 1)}: undo() was never awaited"


def test_an_operation_made_early_may_be_awaited_later() -> None:
    async def code(start: Start, saga: Saga) -> None:
        early = saga.do(B(), then=BDone)
        several = [saga.do(C(number), then=CDone) for number in range(3)]
        gc.collect()
        await saga.do(A(), then=ADone)
        await early
        await saga.all(*several)

    driver = Driver(code)
    driver.start()
    driver.answer(driver.last(A), ADone())
    assert driver.types == ["A", "B"]
    driver.answer(driver.last(B), BDone())
    assert driver.types == ["A", "B", "C", "C", "C"]


def test_operations_that_an_exception_passes_over_are_not_forgotten() -> None:
    async def code(start: Start, saga: Saga) -> None:
        steps = [saga.do(A(), then=ADone), saga.do(B(), then=BDone)]
        try:
            for step in steps:
                await step
        except NotDone:
            saga.publish(Ended())
        del steps, step
        await saga.receive(Paid)

    driver = Driver(code)
    driver.start()
    driver.answer(driver.last(A), ANo())
    assert driver.types == ["A", "Ended"]
    assert driver.live.status == "running"


def test_operations_that_a_refusal_leaves_behind_are_not_forgotten() -> None:
    async def code(start: Start, saga: Saga) -> None:
        steps = [saga.do(A(), then=ADone), saga.do(B(), then=BDone)]
        for step in steps:
            await step

    driver = Driver(code)
    driver.start()
    driver.answer(driver.last(A), ANo())
    assert driver.live.status == "compensated"


def test_operations_that_a_cancel_leaves_behind_are_not_forgotten() -> None:
    async def code(start: Start, saga: Saga) -> None:
        late = saga.do(B(), then=BDone)
        await saga.do(A(), then=ADone)
        await late

    driver = Driver(code)
    driver.start()
    driver.cancel()
    gc.collect()
    assert driver.live.status == "compensated"


# ---------------------------------------------------------------------- awaited wrongly


def test_awaiting_twice() -> None:
    async def code(start: Start, saga: Saga) -> None:
        do = saga.do(A(), then=ADone)
        await do
        await do

    assert bug_of(code, ADone()) == f"{line(code, 1)}: do(A) is awaited twice"


async def test_awaiting_a_sleep() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.do(A(), then=ADone)
        await asyncio.sleep(5)

    bug = bug_of(code, ADone())
    assert bug.startswith(
        f"{line(code, 2)}: awaits a _asyncio.Future, which is no operation of the saga: do outside work"
    )


async def test_awaiting_a_future() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await asyncio.get_running_loop().create_future()

    assert bug_of(code).startswith(f"{line(code, 1)}: awaits a _asyncio.Future")


def test_giving_way_to_an_event_loop() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await asyncio.sleep(0)

    assert bug_of(code).startswith(f"{line(code, 1)}: awaits nothing (as asyncio.sleep(0) does)")


@pytest.mark.filterwarnings("ignore:coroutine 'sleep' was never awaited")
def test_awaiting_something_of_an_event_loop_where_there_is_none() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await asyncio.sleep(5)

    assert bug_of(code) == f"{line(code, 1)}: RuntimeError: no running event loop"


class Response:
    """As an event loop's or a client's."""

    def __await__(self) -> Generator[Any, Any, None]:
        yield "waiting for a socket"


CLIENT = """
async def get(url):
    return await send(url)

async def send(url):
    return await Response()

class Response:
    def __await__(self):
        yield "waiting for a socket"
"""


def test_awaiting_a_client_names_the_authors_line_and_not_the_clients() -> None:
    namespace: dict[str, Any] = {}
    exec(compile(CLIENT, "site-packages/client.py", "exec"), namespace)
    get: Any = namespace["get"]

    async def fetch() -> Awaitable[Any]:
        return await get("https://example.org")

    async def code(start: Start, saga: Saga) -> None:
        await fetch()

    assert bug_of(code).startswith(f"{line(fetch, 1)}: awaits a builtins.str, which is no operation")


def test_a_foreign_branch_names_the_line_of_its_join() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.all(
            asyncio.sleep(0),
            saga.do(A(), then=ADone),
        )

    assert bug_of(code).startswith(f"{line(code, 1)}: awaits nothing")


# ---------------------------------------------------------------------- bugs in code


def test_a_bug_names_the_authors_line_and_not_that_of_what_it_called() -> None:
    def helper() -> None:
        json.loads("{")

    async def code(start: Start, saga: Saga) -> None:
        await saga.do(A(), then=ADone)
        helper()

    assert bug_of(code, ADone()).startswith(f"{line(helper, 1)}: JSONDecodeError: Expecting property name")


@pytest.mark.parametrize("error", [SystemExit(1), asyncio.CancelledError(), GeneratorExit(), RecursionError("deep")])
def test_whatever_the_code_raises_stays_in_its_instance(error: BaseException) -> None:
    async def code(start: Start, saga: Saga) -> None:
        raise error

    assert bug_of(code).startswith(f"{line(code, 1)}: {type(error).__name__}")


def test_an_interrupt_is_the_operators() -> None:
    async def code(start: Start, saga: Saga) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Driver(code).start()


def test_a_command_that_nobody_handles() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.do(Unhandled(), then=ADone)

    assert bug_of(code) == f"{line(code, 1)}: do(Unhandled): nobody handles the command t.Unhandled"


def test_a_command_that_does_not_fit_its_type() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.do(A("one"), then=ADone)  # type: ignore[arg-type]

    assert bug_of(code) == f"{line(code, 1)}: do(A): t.A: n: Expected `int`, got `str`"


def test_a_class_in_the_place_of_a_command() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.do(A, then=ADone)  # type: ignore[arg-type]

    assert bug_of(code).startswith(f"{line(code, 1)}: do(A): type is not a message of this app")


def test_receiving_what_was_not_declared() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.receive(Odd)

    assert bug_of(code) == f"{line(code, 1)}: receive(Odd): declare it with receives=Odd"


def test_publishing_a_command_and_sending_an_event() -> None:
    async def publishes(start: Start, saga: Saga) -> None:
        saga.publish(Notify())

    async def sends(start: Start, saga: Saga) -> None:
        saga.send(Ended())

    assert bug_of(publishes) == f"{line(publishes, 1)}: TypeError: t.Notify is a command: it is sent, not published"
    assert bug_of(sends) == f"{line(sends, 1)}: UnknownMessage: nobody handles the command t.Ended"


def test_returning_what_is_no_event() -> None:
    async def code(start: Start, saga: Saga) -> Any:
        return Notify()

    assert bug_of(code) == "what the saga returns: t.Notify is a command: it is sent, not published"


# ---------------------------------------------------------------------- undos that cannot be built


def test_an_undo_function_that_raises_at_the_send_sends_nothing() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.do(A(), then=ADone, undo=lambda undo: UndoA(undo.outcome.id))  # type: ignore[union-attr]

    bug = bug_of(code)
    assert bug.startswith(f"{line(code, 1)}: do(A): its undo cannot be built before anything is known")
    assert "'NoneType' object has no attribute 'id'" in bug


@pytest.mark.parametrize("undo", [Ended(), Unhandled(), UndoA, 3, None])
def test_an_undo_that_is_no_command(undo: Any) -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.do(A(), then=ADone, undo=lambda facts: undo)

    assert bug_of(code).startswith(f"{line(code, 1)}: do(A): its undo cannot be built")


def test_a_class_in_the_place_of_an_undo() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.do(A(), then=ADone, undo=UndoA)

    bug = bug_of(code)
    assert bug.startswith(f"{line(code, 1)}: do(A): its undo cannot be built")
    assert "UndoA is a class: give a command" in bug


def test_an_undo_of_the_saga_that_cannot_be_built() -> None:
    async def code(start: Start, saga: Saga) -> None:
        saga.on_undo(Ended())

    assert bug_of(code) == f"{line(code, 1)}: UnknownMessage: nobody handles the command t.Ended"


# ---------------------------------------------------------------------- while the code is closed


def test_a_do_in_a_finally_while_the_saga_is_cancelled_raises_and_stops_nothing() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.do(A(), then=ADone, undo=UndoA())
        try:
            await saga.do(B(), then=BDone, undo=UndoB())
        finally:
            await saga.do(C(), then=CDone, undo=UndoC())

    driver = Driver(code)
    driver.start()
    driver.answer(driver.last(A), ADone())
    driver.cancel()
    assert driver.types == ["A", "B", "UndoB"]
    assert driver.record.bug.startswith(f"{line(code, 5)}: do(C) while the code is being closed")
    driver.answer(driver.last(UndoB))
    driver.answer(driver.last(UndoA))
    assert driver.live.status == "compensated"


def test_what_a_finally_sends_and_publishes_while_it_is_cancelled_is_part_of_the_cancel() -> None:
    async def code(start: Start, saga: Saga) -> None:
        try:
            await saga.receive(Paid)
        finally:
            saga.publish(Ended("closed"))
            saga.send(Notify("closed"))
            saga.on_undo(UndoA())

    driver = Driver(code)
    driver.start()
    driver.cancel()
    assert driver.types == ["Ended", "Notify", "UndoA"]


def test_code_that_swallows_its_end_is_closed_all_the_same() -> None:
    async def code(start: Start, saga: Saga) -> None:
        for _ in range(2):
            try:
                await saga.receive(Paid)
            except BaseException:
                saga.publish(Ended("swallowed"))
            try:
                await Response()
            except BaseException:
                saga.publish(Ended("swallowed too"))

    driver = Driver(code)
    driver.start()
    driver.cancel()
    assert driver.live.status == "compensated"
    assert "ignored GeneratorExit" in driver.record.bug


def test_an_eviction_closes_the_code_without_any_effect() -> None:
    async def code(start: Start, saga: Saga) -> None:
        try:
            await saga.receive(Paid)
        finally:
            saga.log.info("closed")
            saga.publish(Ended("closed"))

    driver = Driver(code)
    reacted = driver.start()
    logged.clear()
    driver.live.evict()
    assert reacted.outputs == []
    assert logged == []


def test_an_error_closes_the_code_too() -> None:
    closed: list[str] = []

    async def code(start: Start, saga: Saga) -> None:
        async def one() -> None:
            try:
                await saga.do(A(), then=ADone)
            finally:
                closed.append("one")

        async def other() -> None:
            await saga.receive(Paid)
            raise ValueError

        await saga.all(one(), other())

    driver = Driver(code)
    driver.start()
    with pytest.raises(ProcessBug):
        driver.event(Paid())
    assert closed == ["one"]


# ---------------------------------------------------------------------- hands


def test_now_is_when_the_input_was_recorded_and_ids_count_by_name() -> None:
    async def code(start: Start, saga: Saga) -> None:
        ids = [saga.new_id("a"), saga.new_id("b"), saga.new_id("a")]
        saga.publish(Ended(f"{saga.now.isoformat()} {' '.join(ids)}"))
        await saga.receive(Paid)
        saga.publish(Ended(f"{saga.now.isoformat()} {saga.new_id('a')}"))

    driver = Driver(code)
    driver.start()
    other = driver.revived()
    for one in (driver, other):
        one.event(Paid())
    assert driver.sent[-1].message == other.sent[-1].message
    now, *ids = driver.sent[0].message.how.split()
    assert datetime.fromisoformat(now) == datetime.fromtimestamp((BEGIN + 1) / 1_000_000, UTC)
    ids.append(driver.sent[1].message.how.split()[1])
    assert len(set(ids)) == 4


def test_the_log_is_silent_in_a_replay() -> None:
    async def code(start: Start, saga: Saga) -> None:
        saga.log.info("started", key=saga.key)
        await saga.receive(Paid)
        saga.log.info("paid")
        await saga.receive(Shipped)

    logged.clear()
    driver = Driver(code)
    driver.start()
    revived = driver.revived()
    revived.event(Paid())
    assert logged == [("started", "test", {"key": "k"}), ("paid", "test", {})]


def test_a_saga_knows_its_key_and_id() -> None:
    async def code(start: Start, saga: Saga) -> None:
        saga.publish(Ended(f"{saga.id} {saga.key}"))

    driver = Driver(code)
    driver.start()
    assert driver.last(Ended).message == Ended(f"{driver.id} k")


def test_what_is_sent_without_waiting_has_an_outcome_without_effect() -> None:
    async def code(start: Start, saga: Saga) -> None:
        saga.send(Notify())
        saga.publish(Ended((await saga.receive(Paid)).amount * "x"))

    driver = Driver(code)
    driver.start()
    driver.answer(driver.last(Notify), Paid(1))
    assert driver.types == ["Notify"], "an outcome is no event by key"
    driver.answer(driver.last(Notify), Notified())
    driver.fail(driver.last(Notify))
    driver.event(Paid(2), causation="another instance's command")
    assert driver.last(Ended).message == Ended("xx")


def test_events_are_received_in_the_order_in_which_they_came() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.do(A(), then=ADone)
        shipped = await saga.receive(Shipped)
        first, second = await saga.receive(Paid), await saga.receive(Paid)
        saga.publish(Ended(f"{shipped.parcel} {first.amount} {second.amount}"))

    driver = Driver(code)
    driver.start()
    driver.event(Paid(1))
    driver.event(Paid(2))
    driver.event(Shipped("p"))
    driver.answer(driver.last(A), ADone())
    assert driver.last(Ended).message == Ended("p 1 2")


def test_the_code_may_refuse() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.do(A(), then=ADone, undo=UndoA())
        raise Refused("too late")

    driver = Driver(code)
    driver.start()
    driver.answer(driver.last(A), ADone())
    assert (driver.live.status, driver.live.cause, driver.live.reason) == ("undoing", "refused", "too late")


def test_what_the_code_returns_is_its_outcome() -> None:
    async def code(start: Start, saga: Saga) -> Ended:
        await saga.do(A(), then=ADone)
        return Ended("done")

    driver = Driver(code)
    driver.start()
    driver.answer(driver.last(A), ADone())
    assert (driver.sent[-1].kind, driver.sent[-1].message) == ("event", Ended("done"))
    assert driver.live.status == "completed"
