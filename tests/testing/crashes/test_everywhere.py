"""`crash_everywhere`: an app that keeps its promises has one outcome, and one that does not is found."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest

from sagakit import App, Context, Retry, Saga
from sagakit.testing import Trial, crash_everywhere
from sagakit.testing.crashes.everywhere import FAULTS, ORDERS, plans


@dataclass(frozen=True)
class PlaceOrder:
    id: str


@dataclass(frozen=True)
class OrderPlaced:
    id: str


@dataclass(frozen=True)
class Charge:
    id: str


@dataclass(frozen=True)
class Charged:
    id: str


@dataclass(frozen=True)
class Refund:
    id: str


@dataclass(frozen=True)
class Refunded:
    id: str


@dataclass(frozen=True)
class Ship:
    id: str


@dataclass(frozen=True)
class NotShipped:
    id: str
    reason: str


@dataclass(frozen=True)
class Shipped:
    id: str


class Bank:
    """Charges once a key, if it looks at the key."""

    def __init__(self, *, careful: bool = True) -> None:
        self.careful = careful
        self.keys: set[str] = set()
        self.charged: Counter[str] = Counter()
        self.tries = 0

    def charge(self, id: str, key: str, amount: int) -> None:
        if key not in self.keys or not self.careful:
            self.keys.add(key)
            self.charged[id] += amount


def shop(*, ships: bool = True, slow: bool = False) -> App:
    app = App("shop")

    @app.handles
    async def place(command: PlaceOrder) -> OrderPlaced:
        return OrderPlaced(command.id)

    @app.handles(retry=Retry(3, first=1.0))
    async def charge(command: Charge, bank: Bank, context: Context) -> Charged:
        bank.tries += 1
        if bank.tries == 1:
            raise ConnectionError("the bank is closed")
        if slow:
            await asyncio.sleep(3 * 86_400)
        bank.charge(command.id, context.idempotency_key, 10)
        return Charged(command.id)

    @app.handles
    def refund(command: Refund, bank: Bank, context: Context) -> Refunded:
        bank.charge(command.id, context.idempotency_key, -10)
        return Refunded(command.id)

    @app.handles
    async def ship(command: Ship) -> Shipped | NotShipped:
        await asyncio.to_thread(int, "1")
        return Shipped(command.id) if ships else NotShipped(command.id, "no road")

    @app.saga(key="id")
    async def fulfil(order: OrderPlaced, saga: Saga) -> None:
        await saga.do(Charge(order.id), then=Charged, undo=Refund(order.id))
        await saga.do(Ship(order.id), then=Shipped)

    return app


def bank() -> dict[Any, object]:
    return {Bank: Bank()}


@crash_everywhere(lambda: shop(ships=False), provide=bank)
async def test_what_is_refused_is_undone_whatever_happens(trial: Trial) -> object:
    await trial.send(PlaceOrder("o-1"))
    await trial.finish()
    assert await trial.status("shop.fulfil", "o-1") == "compensated"
    return trial.provided[Bank].charged  # type: ignore[attr-defined]


@pytest.mark.parametrize("ids", [["a"], ["a", "b"]])
@crash_everywhere(shop(slow=True), provide=bank, orders=1)
async def test_what_takes_days_takes_no_time(trial: Trial, ids: list[str]) -> object:
    for id in ids:
        await trial.send(PlaceOrder(id))
    await trial.finish(days=20)
    assert {await trial.status("shop.fulfil", id) for id in ids} == {"completed"}
    return trial.provided[Bank].charged  # type: ignore[attr-defined]


def test_a_bank_that_does_not_look_at_the_key_is_found() -> None:
    @crash_everywhere(shop(), provide=lambda: {Bank: Bank(careful=False)})
    async def charges_once(trial: Trial) -> object:
        await trial.send(PlaceOrder("o-1"))
        await trial.finish()
        return dict(trial.provided[Bank].charged)  # type: ignore[attr-defined]

    with pytest.raises(AssertionError, match="the process dies before the operation is done") as found:
        charges_once()
    assert "returned, with it:    {'o-1': 20}" in str(found.value)


def test_what_is_only_kept_in_memory_is_found() -> None:
    app, seen = App("t"), Counter[str]()

    @app.handles
    async def place(command: PlaceOrder) -> list[OrderPlaced]:
        seen[command.id] += 1
        return [OrderPlaced(command.id)] if seen[command.id] == 1 else []

    @crash_everywhere(app)
    async def places(trial: Trial) -> None:
        seen.clear()
        await trial.send(PlaceOrder("o-1"))
        await trial.finish()

    with pytest.raises(AssertionError, match=r"messages, with it:    Counter\(\{'t\.PlaceOrder': 1\}\)"):
        places()


def test_what_fails_in_one_run_says_in_which() -> None:
    runs = Counter[str]()

    @crash_everywhere(shop(), provide=bank)
    async def fails_later(trial: Trial) -> None:
        runs["all"] += 1
        await trial.send(PlaceOrder("o-1"))
        assert runs["all"] < 4, "enough"

    with pytest.raises(AssertionError, match=r"commit 1 of \d: the operation is done, and fails all the same.*enough"):
        fails_later()


def test_what_does_not_end_says_so() -> None:
    @crash_everywhere(shop(slow=True), provide=bank)
    async def too_long(trial: Trial) -> None:
        await trial.send(PlaceOrder("o-1"))
        await trial.finish(days=1)

    with pytest.raises(AssertionError, match="not at its end after 1 days"):
        too_long()


def test_a_fault_at_every_commit_and_every_disorder_is_planned() -> None:
    found = list(plans(5, ORDERS))
    assert len(found) == 5 * len(FAULTS) + 3 + 2 * ORDERS
    assert len({plan.what for plan in found}) == len(found)


def test_a_runner_of_tests_sees_the_rest_of_the_parameters() -> None:
    @crash_everywhere(shop(), provide=bank)
    async def example(trial: Trial, tmp_path: str, number: int = 3) -> None:
        """What it says."""

    assert list(inspect.signature(example).parameters) == ["tmp_path", "number"]
    assert not inspect.iscoroutinefunction(example)
    assert example.__doc__ == "What it says."
