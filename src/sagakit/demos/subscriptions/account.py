"""What the demo tells of an order: listeners to its events, a line each."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

from sagakit.demos.subscriptions.messages import Order
from sagakit.demos.subscriptions.steps import subscriptions
from sagakit.demos.terminal import Kind, Line

Forward: TypeAlias = (
    Order.Step1.CustomerCreated
    | Order.Step2.PlanOrdered
    | Order.Step3.SessionCreated
    | Order.Step4.PaymentTaken
    | Order.Step5.PermissionsAdjusted
)
Back: TypeAlias = (
    Order.Step1.Failed.CustomerCancelled
    | Order.Step2.Failed.PlanCancelled
    | Order.Step3.Failed.SessionCancelled
    | Order.Step4.Failed.PaymentRefunded
    | Order.Step5.Failed.PermissionsRestored
)


class Account:
    """Writes lines, for whoever shows them. `show` None: nobody."""

    def __init__(self, show: Callable[[Line], None] | None) -> None:
        self._show = show

    def tell(self, kind: Kind, subject: str, what: str, detail: str = "") -> None:
        """A line."""
        if self._show is not None:
            self._show(Line(kind, subject, what, detail, datetime.now().astimezone()))


@subscriptions.provides
def silence() -> Account:
    """An account that nobody reads."""
    return Account(None)


@subscriptions.on(key="order_id")
async def tell_progress(event: Forward, account: Account) -> None:
    """A step was done."""
    account.tell("step", event.order_id, _in_words(event))


@subscriptions.on(key="order_id")
async def tell_setback(event: Back, account: Account) -> None:
    """A step was refused, or taken back."""
    account.tell("undo", event.order_id, _in_words(event), event.reason)


@subscriptions.on(key="order_id")
async def tell_end(event: Order.Failed.AlertRaised, account: Account) -> None:
    """The order is over."""
    account.tell("cancelled", event.order_id, "order not possible", event.reason)


def _in_words(event: object) -> str:
    """The name of an event: `PlanOrdered` is `plan ordered`."""
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in type(event).__name__)
    return words.strip()
