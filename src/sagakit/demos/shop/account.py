"""The shop's account: line by line, what becomes of each order and of the stock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal

from sagakit.demos.terminal import Kind, Line


class Account:
    """Turns what listeners tell it into lines, and numbers the undos of an order. `show` None: nobody reads it."""

    def __init__(self, show: Callable[[Line], None] | None) -> None:
        self._show = show
        self._undone: dict[str, int] = {}
        """How many undos of each open order were told. What began before this process is not in it."""

    def begin(self, order_id: str, detail: str) -> None:
        """An order was placed."""
        self._undone[order_id] = 0
        self._tell("begin", order_id, "order placed", detail)

    def step(self, order_id: str, what: str, detail: str) -> None:
        """A step was done."""
        self._tell("step", order_id, what, detail)

    def refusal(self, order_id: str, reason: str) -> None:
        """A step was refused."""
        self._tell("refusal", order_id, "refused", reason)

    def undo(self, order_id: str, what: str, detail: str) -> None:
        """A step was undone."""
        number = ""
        if order_id in self._undone:
            self._undone[order_id] += 1
            number = f" {self._undone[order_id]}"
        self._tell("undo", order_id, f"undo{number}: {what}", detail)

    def end(self, order_id: str, status: Literal["CONFIRMED", "CANCELLED"], reason: str = "") -> None:
        """An order is settled."""
        self._undone.pop(order_id, None)
        self._tell("done" if status == "CONFIRMED" else "cancelled", order_id, f"order {status}", reason)

    def note(self, what: str, detail: str = "") -> None:
        """Something about the shop as a whole."""
        self._tell("note", "", what, detail)

    def _tell(self, kind: Kind, order_id: str, what: str, detail: str) -> None:
        if self._show is not None:
            self._show(Line(kind, order_id, what, detail, datetime.now().astimezone()))
