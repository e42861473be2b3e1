"""What a message is, its name on the wire, and the ids that are derived."""

from __future__ import annotations

from dataclasses import InitVar, dataclass
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from msgspec import Struct
from pydantic import BaseModel

from sagakit.core.messages import (
    as_messages,
    derived_id,
    field_names,
    is_message_type,
    pinned,
    seconds,
    stable_id,
    wire,
    wire_name,
)


class Nested:
    class Step1:
        @dataclass(frozen=True)
        class CreateCustomer:
            order_id: str
            shared: ClassVar[int] = 1
            hint: InitVar[str] = ""


@wire("orders.OrderShipped", version=2)
class Shipped(Struct, frozen=True):
    order_id: str


class Special(Shipped, frozen=True):
    """A subclass is a message of its own."""

    parcel: str


class Model(BaseModel):
    order_id: str


def test_a_wire_name_is_module_and_qualified_name() -> None:
    assert wire_name("shop", Nested.Step1.CreateCustomer) == "shop.Nested.Step1.CreateCustomer"

    class Local:
        class Inner:
            pass

    assert wire_name("shop", Local.Inner) == "shop.Local.Inner"


def test_a_pin_is_of_this_very_class() -> None:
    assert pinned(Shipped) == ("orders.OrderShipped", 2)
    assert pinned(Special) is None
    assert pinned(Model) is None


def test_any_message_class_can_be_pinned() -> None:
    for cls in (wire("a.B")(Nested.Step1.CreateCustomer), wire("a.B")(type("Own", (Model,), {}))):
        assert pinned(cls) == ("a.B", 1)

    @wire("a.Slots", version=3)
    @dataclass(frozen=True, slots=True)
    class Slots:
        x: int

    @dataclass(frozen=True, slots=True)
    @wire("a.Slots", version=3)
    class Inside:
        x: int

    assert pinned(Slots) == pinned(Inside) == ("a.Slots", 3)


def test_what_is_a_message_type() -> None:
    assert all(is_message_type(cls) for cls in (Nested.Step1.CreateCustomer, Shipped, Model))
    assert not any(is_message_type(other) for other in (int, Nested, Shipped("1"), None, "Shipped"))


def test_field_names_are_those_that_are_stored() -> None:
    assert field_names(Nested.Step1.CreateCustomer) == ("order_id",)
    assert field_names(Special) == ("order_id", "parcel")
    assert field_names(Model) == ("order_id",)
    assert field_names(int) == ()


@pytest.mark.parametrize(
    ("answer", "messages"),
    [
        (None, ()),
        (Shipped("1"), (Shipped("1"),)),
        ([Shipped("1"), Shipped("2")], (Shipped("1"), Shipped("2"))),
        ((), ()),
    ],
)
def test_an_answer_as_messages(answer: Any, messages: tuple[Any, ...]) -> None:
    assert tuple(as_messages(answer)) == messages


def test_stable_ids_depend_on_every_part_and_where_it_ends() -> None:
    assert stable_id("order", "key") == stable_id("order", "key")
    assert len(stable_id("order")) == 32
    assert (
        len({stable_id("ab", "c"), stable_id("a", "bc"), stable_id("abc"), stable_id("ab", "c", ""), stable_id()}) == 5
    )


def test_ids_are_the_same_for_ever() -> None:
    assert stable_id("order", "key") == "c70f8ad886d95a9c54a317eff9fc4c04"
    assert derived_id("m1", "shop.charge", 0) == "c798e92437875aac19acef763d7662f3"


def test_derived_ids_differ_by_input_consumer_and_index() -> None:
    ids = {derived_id(*parts) for parts in (("m1", "a", 0), ("m1", "a", 1), ("m1", "b", 0), ("m2", "a", 0))}
    assert len(ids) == 4


def test_durations() -> None:
    assert seconds(timedelta(minutes=1, milliseconds=500)) == 60.5
    assert seconds(3) == 3
