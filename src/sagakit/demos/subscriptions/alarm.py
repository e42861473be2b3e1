"""Who is told when an order could not be carried out: once for each order."""

from __future__ import annotations

from collections.abc import Callable

from sagakit import Context
from sagakit.demos.subscriptions.messages import Order
from sagakit.demos.subscriptions.steps import subscriptions


class Alarm:
    """Tells the people who look after orders. A repeat of the same alert, by its key, is dropped."""

    def __init__(self, tell: Callable[[str, str], None]) -> None:
        self._tell = tell
        self.raised: dict[str, tuple[str, str]] = {}
        """Order and reason of every alert, by idempotency key."""

    def raise_(self, key: str, order_id: str, reason: str) -> None:
        """Tell them, unless they were told."""
        if key not in self.raised:
            self.raised[key] = (order_id, reason)
            self._tell(order_id, reason)


@subscriptions.handles
async def raise_alert(command: Order.Failed.RaiseAlert, alarm: Alarm, context: Context) -> Order.Failed.AlertRaised:
    """The last of the undos: it takes back the order as a whole."""
    alarm.raise_(context.idempotency_key, command.order_id, command.reason)
    return Order.Failed.AlertRaised(command.order_id, command.email, command.reason)
