"""Reminders of process managers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Self

import msgspec
import pytest
from tests.core.driver import Driver
from tests.core.managers import manager
from tests.core.messages import A, ADone, Ended, Notify, Paid, Shipped, Start

from sagakit.core.lifecycle import Cancelled
from sagakit.core.process_manager.answers import End, Forget, Remind
from sagakit.errors import ProcessBug

SECOND = 1_000_000


@dataclass(frozen=True)
class Patient:
    """Waits for a payment: asks again twice, and then ends."""

    asked: int = 0

    def evolve(self, event: Shipped) -> Self:
        return replace(self, asked=self.asked + 1)

    def react(self, event: Start | Shipped | Paid | Cancelled) -> Any:
        match event:
            case Start():
                return [A(), Remind("pay", Shipped("first"), after=60)]
            case Shipped() if self.asked < 2:
                return [Notify(event.parcel), Remind("pay", Shipped("again"), after=timedelta(minutes=2))]
            case Shipped():
                return End("compensated", "not paid")
            case Paid(1):
                return [Forget("pay"), Forget("pay"), Forget("nothing")]
            case Paid():
                return [Forget("pay"), Remind("pay", Shipped("once more"), after=5)]
            case Cancelled():
                return [Remind("other", Shipped(), after=9), End()]


PATIENT = manager(Patient, (Shipped,), (Start, Shipped, Paid, Cancelled))


def patient() -> Driver:
    driver = Driver(PATIENT)
    driver.start()
    return driver


def names(driver: Driver) -> list[str]:
    return [one["what"] for one in msgspec.json.decode(driver.live.snapshot()).get("reminders", [])]


def test_a_reminder_tells_the_instance_its_message() -> None:
    driver = patient()
    assert driver.next.due_at == driver.now + 60 * SECOND
    driver.fire()
    assert driver.last(Notify).message == Notify("first")
    driver.revived().fire()
    assert names(driver) == ["pay"]


def test_a_reminder_is_told_to_an_instance_that_was_loaded_anew() -> None:
    driver = patient().revived()
    driver.fire()
    driver = driver.revived()
    driver.fire()
    assert (driver.live.status, driver.live.reason) == ("compensated", "not paid")
    assert not driver.timers


def test_forgetting_what_is_gone_is_no_error() -> None:
    driver = patient()
    driver.event(Paid(1))
    driver.event(Paid(1))
    assert len(driver.forgotten) == 1
    assert names(driver) == []
    assert driver.types == ["A"]


def test_a_reminder_of_the_same_name_replaces_the_earlier_one() -> None:
    driver = patient()
    first = driver.next
    driver.event(Paid())
    assert driver.forgotten == [first.id]
    assert driver.next.due_at == driver.now + 5 * SECOND
    assert names(driver) == ["pay"]


def test_a_reminder_that_was_forgotten_when_it_fired_is_not_told() -> None:
    driver = patient()
    first = driver.next
    driver.event(Paid(1))
    driver.fire(first)
    assert driver.types == ["A"]
    assert driver.live.status == "running"


def test_the_same_message_from_elsewhere_is_told_as_any_event() -> None:
    driver = patient()
    driver.event(Shipped("by hand"))
    assert driver.last(Notify).message == Notify("by hand")


def test_the_end_forgets_all_reminders_also_those_of_the_same_reaction() -> None:
    driver = patient()
    reacted = driver.cancel()
    assert driver.live.status == "completed"
    assert not driver.timers
    assert reacted.timers == []
    driver.answer(driver.last(A), ADone())


def answering(answer: Any) -> Driver:
    @dataclass(frozen=True)
    class Answers:
        def react(self, event: Start) -> Any:
            return answer

    driver = Driver(manager(Answers, (), (Start,)))
    driver.start()
    return driver


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Remind("x", Paid(), after=1), r"^Answers on Start: Remind\('x'\): neither evolve nor react takes a Paid$"),
        (Remind("x", Start("k"), after="1"), r"Remind\('x'\): after= takes seconds or a timedelta, .* not '1'$"),  # type: ignore[arg-type]
        (Remind("x", Start("k"), after=float("inf")), r"Remind\('x'\): after= takes seconds"),
        (Remind("x", Start(5), after=1), r"^Answers on Start: t.Start: key: Expected `str`, got `int`$"),  # type: ignore[arg-type]
        (Remind("x", Ended, after=1), "is not a message"),  # type: ignore[arg-type]
    ],
)
def test_a_reminder_that_makes_no_sense_parks(answer: Any, words: str) -> None:
    with pytest.raises(ProcessBug, match=words):
        answering(answer)


def test_a_reminder_for_now_is_due_at_once() -> None:
    driver = answering(Remind("x", Start("k"), after=-1))
    assert driver.next.due_at == driver.now
