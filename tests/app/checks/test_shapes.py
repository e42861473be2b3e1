"""What is stored comes back as it was: a type that cannot be decoded is found before anything runs."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, Optional, TypeVar

import pytest
from msgspec import Struct
from pydantic import BaseModel, ConfigDict

from sagakit import Module
from sagakit.app.checks.shapes import unfit, unfit_state

if TYPE_CHECKING:
    from nowhere import Missing

Problems = Callable[..., list[str]]
T = TypeVar("T")


class Thing:
    """No message."""


class Colour(enum.Enum):
    RED = "red"


@dataclass(frozen=True)
class Item:
    name: str


@dataclass(frozen=True)
class Other:
    number: int


class Tagged(Struct, frozen=True, tag=True):
    name: str


class TaggedToo(Struct, frozen=True, tag=True):
    number: int


@dataclass(frozen=True)
class Fits:
    id: uuid.UUID
    at: dt.datetime
    amount: decimal.Decimal
    colour: Colour
    kind: Literal["a", "b"]
    items: tuple[Item, ...]
    either: Tagged | TaggedToo
    by_name: Mapping[str, Sequence[Item]]
    by_number: dict[int, Item]
    by_id: dict[uuid.UUID, Item]
    payload: dict[str, Any]
    parent: Optional[Fits] = None  # noqa: UP045
    seen: frozenset[str] = frozenset()
    raw: bytes = b""


@dataclass(frozen=True)
class TwoDataclasses:
    item: Item | Other


@dataclass(frozen=True)
class TwoTexts:
    id: str | uuid.UUID


@dataclass(frozen=True)
class OfThings:
    things: list[Thing]


class DeepThing(Struct, frozen=True):
    inside: OfThings


@dataclass(frozen=True)
class BadKeys:
    places: dict[tuple[int, int], str]


@dataclass(frozen=True)
class Unknown:
    one: Missing
    two: int


@dataclass(frozen=True)
class OfUnknown:
    unknown: Unknown


@dataclass(frozen=True)
class Initial:
    count: InitVar[int]


class Page(Struct, Generic[T], frozen=True):
    rows: list[T]


class ItemPage(Page[Item], frozen=True): ...


class ModelPage(BaseModel, Generic[T]):
    rows: list[T]


class Model(BaseModel):
    name: str
    items: list[Item]


class BadModel(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    thing: Thing


@dataclass(frozen=True)
class OfModel:
    model: Model


TAGGED = "make them msgspec Structs with tag=True, which say what they are"
READ_BACK = "cannot be read back: use a dataclass, a Struct or a plain type"


@pytest.mark.parametrize("cls", [Fits, Item, Tagged, Model, ItemPage, ModelPage[int]])
def test_what_fits(cls: type) -> None:
    assert unfit(cls, {}) == []


@pytest.mark.parametrize(
    ("cls", "problem"),
    [
        (
            TwoDataclasses,
            f"TwoDataclasses.item: Type unions may not contain more than one dataclass or attrs type: {TAGGED}",
        ),
        (OfThings, f"OfThings.things[...]: Thing {READ_BACK}"),
        (DeepThing, f"DeepThing.inside.things[...]: Thing {READ_BACK}"),
        (BadKeys, "BadKeys.places: a dict cannot have tuple as its keys: use str, int or the like"),
        (OfModel, f"OfModel.model: Model {READ_BACK}"),
        (
            Unknown,
            (
                "Unknown.one: Missing: "
                "'Missing' is not known there when the app is put together (imported for type checking only?)"
            ),
        ),
        (OfUnknown, "OfUnknown.unknown: a class in it names 'Missing', which is not known there"),
        (
            Page,
            "Page is generic, and is read back without its parameters: use a subclass (class X(Page[int]))",
        ),
        (
            ModelPage,
            "ModelPage is generic, and is read back without its parameters: use a subclass (class X(ModelPage[int]))",
        ),
        (Initial, "Initial.count: Type 'dataclasses.InitVar[int]' is not supported"),
    ],
)
def test_what_does_not_fit(cls: type, problem: str) -> None:
    assert unfit(cls, {}) == [problem]


def test_two_kinds_of_text() -> None:
    [problem] = unfit(TwoTexts, {})
    assert problem.startswith("TwoTexts.id: Type unions may not contain more than one str-like type")


def test_a_model_that_does_not_fit() -> None:
    [problem] = unfit(BadModel, {})
    assert problem.startswith("BadModel: ")
    assert "Thing" in problem


def test_states() -> None:
    assert unfit_state(Item, {}) == []
    assert unfit_state(Thing, {}) == ["Thing has to be a dataclass or a msgspec Struct"]
    assert unfit_state(Model, {}) == ["Model has to be a dataclass or a msgspec Struct"]


# ---------------------------------------------------------------------- in an app


def test_a_message_of_an_app(problems: Problems) -> None:
    module = Module("m")

    @module.on
    async def listen(event: OfThings) -> None: ...

    assert problems(module) == [f"{__name__}.OfThings.things[...]: Thing {READ_BACK}"]


def test_the_state_of_a_process_manager(problems: Problems) -> None:
    module = Module("m")

    @module.process_manager(key="name", starts_with=Item)
    @dataclass(frozen=True)
    class Manager:
        thing: Thing | None = None

        def react(self, event: Item) -> None: ...

    [problem] = problems(module)
    assert problem.startswith("m.Manager (tests/app/checks/test_shapes.py:")
    assert f"its state is stored: {Manager.__qualname__}.thing: Thing {READ_BACK}" in problem


def test_the_state_of_an_aggregate(problems: Problems) -> None:
    def declare(every: int) -> Module:
        module = Module("m")

        @module.aggregate(key="name", snapshot_every=every)
        class Aggregate:
            def decide(self, command: Item) -> Other:
                raise NotImplementedError

            def evolve(self, event: Other) -> Aggregate:
                return self

        return module

    [problem] = problems(declare(100))
    assert problem.endswith(
        "Aggregate has to be a dataclass or a msgspec Struct; or turn them off with snapshot_every=0"
    )
    assert problems(declare(0)) == []


def test_a_state_that_cannot_begin(problems: Problems) -> None:
    module = Module("m")

    @module.aggregate(key="name")
    @dataclass(frozen=True)
    class Aggregate:
        name: str
        items: list[Item] = field(default_factory=list[Item])

        def decide(self, command: Item) -> Other:
            raise NotImplementedError

        def evolve(self, event: Other) -> Aggregate:
            return self

    [problem] = problems(module)
    assert "cannot be made without arguments, as it begins: give each field a default (" in problem
    assert "missing 1 required positional argument: 'name'" in problem
