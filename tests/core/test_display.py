from __future__ import annotations

import msgspec
import pytest
from tests.cli import stories

from sagakit.core.commit import Commit, History, Instance, Status
from sagakit.core.display import Answer, Display, display, record_of, steps
from sagakit.core.process import PendingTimer, TimerKind
from sagakit.core.process_manager.record import ManagerRecord, SentCommand
from sagakit.core.saga.compensation import Recorded, SagaRecord, Step, StepState

UNDO = Recorded("payments.RefundPayment", 1, msgspec.Raw(b"{}"))


def row(record: SagaRecord | ManagerRecord, status: Status = "running") -> Instance:
    return Instance("i", "orders.fulfil_order", "order-1", 1, 3, status, msgspec.json.encode(record))


def step(place: int, type: str, state: StepState = "sent") -> Step:
    return Step(place, f"c{place}" if type else "", type, state, UNDO)


def manager(*sent: SentCommand) -> ManagerRecord:
    return ManagerRecord(msgspec.Raw(b"{}"), list(sent))


def test_a_saga_stands_at_the_newest_step_in_flight() -> None:
    record = SagaRecord([step(1, "a.A", "succeeded"), step(2, "b.B"), step(3, "c.C")], sent=3)
    shown = display(row(record))
    assert (shown.state, shown.waiting_for) == ("c.C", ["b.B", "c.C"])


def test_a_saga_without_a_step_in_flight_stands_nowhere() -> None:
    assert display(row(SagaRecord())).state == ""
    assert display(row(SagaRecord([step(1, "a.A", "succeeded")]))).waiting_for == []


@pytest.mark.parametrize("state", ["undoing", "undo_failed"])
def test_an_undo_that_is_out(state: StepState) -> None:
    record = SagaRecord([step(1, "a.A", "succeeded"), step(2, "b.B", state), step(3, "c.C", "undone")], undoing=True)
    shown = display(row(record, "undoing"))
    assert (shown.state, shown.waiting_for) == ("undoing b.B", ["payments.RefundPayment"])


def test_the_undo_of_the_saga_as_a_whole() -> None:
    shown = display(row(SagaRecord([step(1, "", "undoing")], undoing=True), "undoing"))
    assert shown.state == "undoing orders.fulfil_order"


@pytest.mark.parametrize("status", ["completed", "compensated", "abandoned"])
def test_what_has_ended_waits_for_nothing(status: Status) -> None:
    shown = display(row(SagaRecord([step(1, "a.A")]), status))
    assert (shown.state, shown.waiting_for) == ("", [])


def test_a_process_manager_waits_for_the_commands_that_it_keeps() -> None:
    record = manager(
        SentCommand("1", "a.A", "", settled=True),
        SentCommand("2", "b.B", ""),
        SentCommand("3", "c.C", "", undo=UNDO, undo_id="4", undone=True),
    )
    shown = display(row(record))
    assert (shown.state, shown.waiting_for) == ("b.B", ["b.B"])


def test_a_process_manager_that_undoes() -> None:
    record = manager(SentCommand("1", "a.A", ""), SentCommand("2", "b.B", "", settled=True, undo=UNDO, undo_id="3"))
    shown = display(row(record))
    assert (shown.state, shown.waiting_for) == ("undoing b.B", ["a.A", "payments.RefundPayment"])


def test_the_record_tells_which_way_a_process_is_written() -> None:
    assert isinstance(record_of(row(manager())), ManagerRecord)
    assert isinstance(record_of(row(SagaRecord())), SagaRecord)


def history(commit: Commit) -> list[History]:
    return [History(one.version, one.inputs, one.outputs) for one in commit.reactions]


def shown_steps(commit: Commit) -> list[tuple[str | None, Answer | None, str | None, str | None]]:
    found = steps(commit.instances[0].row, history(commit))
    return [
        (
            one.command.type if one.command else None,
            one.command.answer if one.command else None,
            one.undo.type if one.undo else None,
            one.planned_undo,
        )
        for one in found
    ]


def test_steps_of_a_compensated_saga() -> None:
    assert shown_steps(stories.compensated()) == [
        (None, None, "orders.CancelOrder", None),
        ("inventory.ReserveStock", Answer(("inventory.StockReserved",)), "inventory.ReleaseStock", None),
        ("payments.ChargePayment", Answer(("payments.PaymentCharged",)), "payments.RefundPayment", None),
        ("orders.ConfirmOrder", Answer(("orders.ConfirmationRefused",)), None, None),
    ]


def test_steps_of_a_completed_saga_come_from_its_history() -> None:
    assert [command for command, *_ in shown_steps(stories.completed())] == [
        "inventory.ReserveStock",
        "payments.ChargePayment",
        "orders.ConfirmOrder",
    ]


def test_a_step_without_an_answer_and_undos_to_come() -> None:
    assert shown_steps(stories.charging()) == [
        ("inventory.ReserveStock", Answer(("inventory.StockReserved",)), None, "inventory.ReleaseStock"),
        ("payments.ChargePayment", None, None, "payments.RefundPayment"),
    ]


def test_an_undo_that_was_given_up() -> None:
    _, _, charged, _ = steps(stories.stuck().instances[0].row, history(stories.stuck()))
    assert charged.state == "undo_failed"
    assert charged.undo is not None
    assert charged.undo.answer == Answer((), "GatewayDown: no answer for a day")


def test_a_command_that_led_to_nothing_and_one_that_failed() -> None:
    tale = stories.Tale("order-1")
    begun = tale.event("a.Begun")
    one, two = tale.command("a.DoThis", begun), tale.command("a.DoThat", begun)
    tale.reacts([begun], one, two)
    tale.reacts([tale.event("sagakit.CommandLedToNothing", one)])
    failure = {"command_id": two.id, "type": two.type, "version": 1, "payload": {}, "reason": "down"}
    tale.reacts([tale.message("event", "sagakit.CommandFailed", two, None, **failure)])
    commit = tale.commit("running", manager())
    assert [answer for _, answer, *_ in shown_steps(commit)] == [Answer(), Answer((), "down")]


def test_of_several_undos_the_last_one_counts() -> None:
    tale = stories.Tale("order-1")
    do, done = tale.step(tale.event("a.Begun"), "a.DoThis", "a.Done")
    assert done
    first = tale.command("a.UndoThis", done, do.id)
    tale.reacts([done], first)
    late = tale.event("a.DoneLate", do)
    again = tale.command("a.UndoThis", late, do.id)
    tale.reacts([late], again)
    (shown,) = steps(tale.commit("running", manager()).instances[0].row, history(tale.commit("running", manager())))
    assert shown.undo is not None
    assert (shown.undo.id, shown.undo.answer) == (again.id, None)


def test_a_saga_that_receives_waits_for_the_event() -> None:
    tale = stories.Tale("order-1")
    tale.reacts([tale.event("a.Begun")])
    row = tale.commit("running", SagaRecord(receiving=["a.Shipped"])).instances[0].row
    assert display(row) == Display("a.Shipped", ["a.Shipped"])


# ---------------------------------------------------------------------- times

DUE = 1_767_225_600_000_000
"""2026-01-01 00:00:00 UTC."""


def timer(kind: TimerKind, what: str = "") -> PendingTimer:
    return PendingTimer(kind, DUE, kind, what, 30_000_000)


def test_a_saga_that_sleeps() -> None:
    shown = display(row(SagaRecord(timers=[timer("sleep")])))
    assert (shown.state, shown.waiting_for) == ("sleeping", ["sleep of 30 s, 2026-01-01 00:00:00"])


def test_a_saga_that_waits_so_long_for_an_event_or_a_step() -> None:
    record = SagaRecord([step(1, "a.A")], timers=[timer("step", "a.A"), timer("receive", "b.B")], receiving=["b.B"])
    shown = display(row(record))
    assert shown.state == "b.B"
    assert shown.waiting_for == [
        "a.A",
        "b.B",
        "timeout of 30 s on a.A, 2026-01-01 00:00:00",
        "timeout of 30 s on b.B, 2026-01-01 00:00:00",
    ]


def test_a_deadline_is_not_waited_for() -> None:
    shown = display(row(SagaRecord(timers=[timer("deadline"), timer("warning")])))
    assert (shown.state, shown.waiting_for) == ("", [])


def test_a_process_manager_waits_for_its_reminders() -> None:
    record = ManagerRecord(msgspec.Raw(b"{}"), reminders=[timer("reminder", "pay")])
    shown = display(row(record))
    assert (shown.state, shown.waiting_for) == ("", ["reminder pay, 2026-01-01 00:00:00"])
