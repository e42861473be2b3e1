"""Keys are field paths; a value of None is for nobody."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import pytest

from sagakit import ONE
from sagakit.app.reading.keys import key_of, missing


@dataclass(frozen=True)
class Order:
    id: UUID
    number: int | None = None


@dataclass(frozen=True)
class Placed:
    order: Order
    name: str = "n"


PLACED = Placed(Order(UUID(int=1), 7))


def test_a_key_is_a_text() -> None:
    assert key_of("name")(PLACED) == "n"
    assert key_of("order.number")(PLACED) == "7"
    assert key_of("order.id")(PLACED) == "00000000-0000-0000-0000-000000000001"


def test_none_is_for_nobody() -> None:
    assert key_of("order.number")(Placed(Order(UUID(int=1)))) is None


def test_one_is_the_same_for_all() -> None:
    assert key_of(ONE)(PLACED) == key_of(ONE)(Order(UUID(int=2))) == ""


def test_a_path_that_is_not_there() -> None:
    with pytest.raises(AttributeError):
        key_of("order.nothing")(PLACED)
    assert missing(Placed, "order.nothing", {}) == "Order has no field 'nothing'"
    assert missing(Placed, "nothing", {}) == "Placed has no field 'nothing'"
    assert missing(Placed, "order.id", {}) is None
    assert missing(Placed, ONE, {}) is None
