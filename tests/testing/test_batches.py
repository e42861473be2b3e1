"""Scenarios of batches: their items are answered one by one, in the order in which they were sent."""

from __future__ import annotations

from dataclasses import dataclass

from sagakit import Module, Saga
from sagakit.testing import given


@dataclass(frozen=True)
class Placed:
    order_id: str


@dataclass(frozen=True)
class Pack:
    name: str


@dataclass(frozen=True)
class Packed:
    name: str


@dataclass(frozen=True)
class SoldOut:
    name: str
    reason: str = "sold out"


@dataclass(frozen=True)
class Unpack:
    name: str


@dataclass(frozen=True)
class Unpacked:
    name: str


@dataclass(frozen=True)
class Pay:
    order_id: str


@dataclass(frozen=True)
class Paid:
    order_id: str


@dataclass(frozen=True)
class Declined:
    order_id: str


@dataclass(frozen=True)
class Shipped:
    done: int
    left_out: tuple[tuple[str, str], ...]


@Module("m").saga(key="order_id")
async def ship(order: Placed, saga: Saga) -> Shipped:
    packed = await saga.each(["a", "b", "c"], Pack, then=Packed, at_once=2, undo=Unpack)
    await saga.do(Pay(order.order_id), then=Paid)
    return Shipped(packed.done, tuple(packed.failures()))


PLACED = Placed("o-1")


def test_so_many_items_at_once_and_what_failed() -> None:
    (
        given(ship, PLACED)
        .when(Packed("a"))
        .then(Pack("c"))
        .when(SoldOut("b"), to=Pack)
        .nothing()
        .when_failed("broken", to=Pack)
        .then(Unpack("c"))
        .when(Unpacked("c"))
        .then(Pay("o-1"))
        .when(Paid("o-1"))
        .then(Shipped(1, (("b", "sold out"), ("c", "broken"))))
        .ends("completed")
    )


def test_what_comes_after_it_is_refused() -> None:
    (
        given(ship, PLACED, Packed("a"), Packed("b"), Packed("c"))
        .when(Declined("o-1"))
        .then(Unpack("c"), Unpack("b"))
        .when(Unpacked("c"), to=Unpack)
        .then(Unpack("a"))
        .when(Unpacked("b"), to=Unpack)
        .when(Unpacked("a"))
        .ends("compensated", "Declined")
    )
