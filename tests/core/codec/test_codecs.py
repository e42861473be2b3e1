"""Messages to bytes and back: every kind of field and class, what does not fit, old versions, limits."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct, UnsetType
from pydantic import BaseModel, ConfigDict, Field

from sagakit.core.codec import MEBIBYTE, Codec, Codecs
from sagakit.errors import InvalidMessage, PayloadTooLarge, UnknownMessage


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1


@dataclass(frozen=True)
class Inner:
    name: str
    amounts: tuple[Decimal, ...] = ()


class Card(Struct, frozen=True, tag="card"):
    number: str


class Cash(Struct, frozen=True, tag="cash"):
    coins: int


class Point(NamedTuple):
    x: int
    y: int


@dataclass(frozen=True)
class Everything:
    id: UUID
    at: datetime
    day: date
    hour: time
    lasted: timedelta
    price: Decimal
    colour: Colour
    level: Level
    maybe: int | None
    names: list[str]
    pair: tuple[int, str]
    any_number: tuple[Inner, ...]
    set_of: frozenset[str]
    inner: Inner
    by_name: dict[str, Inner]
    paid: Card | Cash
    several: list[Card | Cash]
    how: Literal["fast", "slow"]
    raw: bytes
    number: float
    flag: bool
    point: Point
    anything: Any = None


class EverythingStruct(Struct, frozen=True):
    id: UUID
    at: datetime
    price: Decimal
    colour: Colour
    maybe: int | None
    inner: Inner
    paid: Card | Cash
    several: list[Card | Cash]
    names: list[str] = []


class CardModel(BaseModel):
    model_config = ConfigDict(frozen=True)
    kind: Literal["card"] = "card"
    number: str


class CashModel(BaseModel):
    model_config = ConfigDict(frozen=True)
    kind: Literal["cash"] = "cash"
    coins: int


class EverythingModel(BaseModel):
    model_config = ConfigDict(frozen=True)
    id: UUID
    at: datetime
    price: Decimal
    colour: Colour
    maybe: int | None
    inner: Inner
    paid: Annotated[CardModel | CashModel, Field(discriminator="kind")]
    several: list[CardModel]
    set_of: frozenset[str]
    renamed: int = Field(alias="reNamed")


ID = UUID("00000000-0000-4000-8000-000000000001")
AT = datetime(2026, 11, 21, 9, 30, 15, 123456, UTC)
PRICE = Decimal("0.10")
INNER = Inner("inner", (Decimal("1.20"), Decimal(3)))

WHOLE = (
    Everything(
        ID,
        AT,
        date(2026, 11, 21),
        time(9, 30),
        timedelta(seconds=90.5),
        PRICE,
        Colour.BLUE,
        Level.LOW,
        None,
        ["a", "b"],
        (1, "x"),
        (INNER,),
        frozenset({"p", "q"}),
        INNER,
        {"k": INNER},
        Cash(3),
        [Card("1"), Cash(2)],
        "slow",
        b"\x00\xff",
        0.1,
        True,
        Point(1, 2),
        {"nested": [1, None]},
    ),
    EverythingStruct(ID, AT, PRICE, Colour.RED, 3, INNER, Card("9"), [Cash(1), Card("2")], ["n"]),
    EverythingModel(
        id=ID,
        at=AT,
        price=PRICE,
        colour=Colour.RED,
        maybe=None,
        inner=INNER,
        paid=CashModel(coins=2),
        several=[CardModel(number="1")],
        set_of=frozenset({"a"}),
        reNamed=5,
    ),
)


def codec(cls: type, **options: Any) -> Codec:
    return Codec(cls, f"m.{cls.__name__}", options.pop("version", 1), **options)


def codecs(*classes: type, max_payload: int = MEBIBYTE) -> Codecs:
    known = Codecs(max_payload)
    for cls in classes:
        known.add(codec(cls))
    return known


@pytest.mark.parametrize("message", WHOLE, ids=lambda message: type(message).__name__)
def test_every_field_round_trips(message: Any) -> None:
    one = codec(type(message))
    again = one.decode(one.encode(message))
    assert again == message
    assert type(again) is type(message)
    assert one.digest(again) == one.digest(message)


def test_exact_types_come_back() -> None:
    one = codec(Everything)
    again = one.decode(one.encode(WHOLE[0]))
    assert str(again.price) == "0.10"
    assert again.at.tzinfo is not None
    assert isinstance(again.any_number, tuple)
    assert isinstance(again.set_of, frozenset)
    assert again.paid == Cash(3)
    assert again.colour is Colour.BLUE


@given(st.decimals(allow_nan=False, allow_infinity=False), st.datetimes(timezones=st.just(UTC)), st.uuids())
def test_any_decimal_time_and_id_round_trips(price: Decimal, at: datetime, id: UUID) -> None:
    one = codec(EverythingStruct)
    message = EverythingStruct(id, at, price, Colour.RED, None, INNER, Card(""), [])
    again = one.decode(one.encode(message))
    assert again == message
    assert str(again.price) == str(price)


def test_a_pydantic_model_inside_a_dataclass_round_trips() -> None:
    @dataclass(frozen=True)
    class Holds:
        model: EverythingModel
        models: list[CardModel]

    one = codec(Holds)
    message = Holds(WHOLE[2], [CardModel(number="7")])
    assert one.decode(one.encode(message)) == message


def test_a_dict_keeps_its_order() -> None:
    @dataclass(frozen=True)
    class Ordered:
        by_name: dict[str, int]

    one = codec(Ordered)
    assert list(one.decode(one.encode(Ordered({"b": 1, "a": 2}))).by_name) == ["b", "a"]


def test_a_class_need_not_be_frozen() -> None:
    @dataclass
    class Mutable:
        names: list[str] = field(default_factory=list[str])

    message = Mutable(["a"])
    _, _, sealed = codecs(Mutable).seal(message)
    message.names.append("changed after it was sent")
    assert sealed == Mutable(["a"])


def test_equal_messages_have_one_digest_whatever_the_order_of_their_sets() -> None:
    @dataclass(frozen=True)
    class Sets:
        names: frozenset[str]
        by_name: dict[str, int]

    one = codec(Sets)
    names = [str(number) for number in range(100)]
    first = Sets(frozenset(names), dict.fromkeys(names, 1))
    second = Sets(frozenset(reversed(names)), dict.fromkeys(reversed(names), 1))
    assert one.digest(first) == one.digest(second)
    assert one.digest(first) != one.digest(Sets(frozenset(), {}))
    model = codec(EverythingModel)
    assert model.digest(WHOLE[2]) == model.digest(model.decode(model.encode(WHOLE[2])))


# ---------------------------------------------------------------------- what does not fit


def test_a_wrong_type_is_named_with_the_path_of_its_field() -> None:
    wrong = Inner("x", (Decimal(1), "two"))  # type: ignore[arg-type]
    with pytest.raises(InvalidMessage, match=r"^m.Inner: amounts\[1\]: Invalid decimal string$"):
        codecs(Inner).seal(wrong)


@pytest.mark.parametrize(
    ("payload", "found"),
    [
        (b'{"name": 3}', r"^m.Inner: name: Expected `str`, got `int`$"),
        (b"{}", r"^m.Inner: Object missing required field `name`$"),
        (b"[]", r"^m.Inner: Expected `object`, got `array`$"),
        (b"{", r"^m.Inner: Input data was truncated$"),
        (b'{"name": "\xff"}', "^m.Inner: "),
        (b"[" * 100_000, "^m.Inner: "),
    ],
)
def test_a_payload_that_does_not_fit_says_why(payload: bytes, found: str) -> None:
    with pytest.raises(InvalidMessage, match=found):
        codec(Inner).decode(payload)


def test_pydantic_names_every_field_that_does_not_fit() -> None:
    with pytest.raises(InvalidMessage, match=r"^m.EverythingModel: id: .*; at: .*; paid: "):
        codec(EverythingModel).decode(b'{"id": 3, "at": "x", "paid": 1}')


def test_a_pydantic_model_that_was_not_checked_is_refused_without_a_warning() -> None:
    message = CardModel.model_construct(number=3)
    with pytest.raises(InvalidMessage, match=r"^m.CardModel: number: Input should be a valid string$"):
        codecs(CardModel).seal(message)


@pytest.mark.parametrize("value", [object(), math.nan, {1: object()}, 10**400])
def test_a_value_that_cannot_be_written_or_read_back(value: Any) -> None:
    @dataclass(frozen=True)
    class Number:
        value: float

    with pytest.raises(InvalidMessage, match=r"^m.Number: "):
        codecs(Number).seal(Number(value))


def test_a_message_that_contains_itself() -> None:
    @dataclass
    class Loop:
        inside: list[Any]

    message = Loop([])
    message.inside.append(message.inside)
    with pytest.raises(InvalidMessage, match=r"^m\.Loop: it contains itself, or too much inside one another$"):
        codecs(Loop).seal(message)


def test_constraints_hold() -> None:
    class Small(Struct, frozen=True):
        size: Annotated[int, Meta(le=10)]

    with pytest.raises(InvalidMessage, match=r"^m.Small: size: Expected `int` <= 10$"):
        codecs(Small).seal(Small(11))


def test_a_class_that_cannot_be_read_is_refused_when_it_is_declared() -> None:
    @dataclass(frozen=True)
    class Ambiguous:
        either: Inner | Point | set[str] | list[int] | UnsetType

    with pytest.raises(InvalidMessage, match=r"^m.Ambiguous: "):
        codec(Ambiguous)


def test_a_payload_has_a_limit() -> None:
    known = codecs(Inner, max_payload=100)
    known.seal(Inner("x" * 70))
    with pytest.raises(PayloadTooLarge, match=r"^m.Inner: 124 bytes, at most 100: keep large data elsewhere"):
        known.seal(Inner("x" * 100))
    assert Codecs().max_payload == MEBIBYTE


# ---------------------------------------------------------------------- old versions


@dataclass(frozen=True)
class Customer:
    first: str
    last: str
    vip: bool


def test_upcasters_lift_old_payloads_one_version_at_a_time() -> None:
    lifts: Any = {
        1: lambda old: {"first": old["name"].split()[0], "last": old["name"].split()[1]},
        2: lambda old: {**old, "vip": False},
    }
    three = codec(Customer, version=3, upcasters=lifts)
    assert three.decode(b'{"name": "Ada Lovelace"}', 1) == Customer("Ada", "Lovelace", False)
    assert three.decode(b'{"first": "Ada", "last": "Lovelace"}', 2) == Customer("Ada", "Lovelace", False)
    assert three.decode(b'{"first": "Ada", "last": "L", "vip": true}', 3) == Customer("Ada", "L", True)


def test_an_upcaster_that_is_missing_or_fails_is_named() -> None:
    def fails(old: dict[str, Any]) -> dict[str, Any]:
        raise KeyError("name")

    two = codec(Customer, version=3, upcasters={2: fails})
    with pytest.raises(
        UnknownMessage, match="version 1 is stored, the code knows 3: declare an upcaster for version 1"
    ):
        two.decode(b"{}", 1)
    with pytest.raises(InvalidMessage, match="the upcaster for version 2 failed: KeyError: 'name'"):
        two.decode(b"{}", 2)
    with pytest.raises(UnknownMessage, match="version 4 is newer than this code's 3: update the code"):
        two.decode(b"{}", 4)
    with pytest.raises(InvalidMessage, match=r"^m.Customer: "):
        two.decode(b"[", 1)


# ---------------------------------------------------------------------- which class


def test_a_message_is_known_by_its_very_class() -> None:
    class Special(Card, frozen=True):
        pass

    known = codecs(Card)
    with pytest.raises(UnknownMessage, match="Special is not a message of this app"):
        known.seal(Special("1"))
    assert known.of(Card("1")) is known.named("m.Card")
    with pytest.raises(UnknownMessage, match=r"no class of this app claims the message type 'm.Cash'"):
        known.decode("m.Cash", 1, b"{}")
    assert known.decode("m.Card", 1, b'{"type": "card", "number": "1"}') == Card("1")
