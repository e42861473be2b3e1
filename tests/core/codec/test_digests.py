"""What a message says is the same in every process and for newer code; another message says something else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest
from msgspec import Struct
from pydantic import AnyUrl, BaseModel, RootModel

from sagakit.core.codec import Codec
from sagakit.core.codec.digests import DEEPEST

NAMES = ["ale", "bread", "cheese", "dates", "eggs", "figs", "grapes"]


class Colour(Enum):
    RED = "red"
    BLUE = "blue"
    GREEN = "green"
    GREY = "grey"


@dataclass(frozen=True)
class Line:
    sku: str
    count: int = 1
    tags: frozenset[str] = frozenset()


class Tagged(Struct, frozen=True, tag="tagged", array_like=True):
    tags: frozenset[str]


class Card(Struct, frozen=True, tag="card"):
    number: str = ""


class Cash(Struct, frozen=True, tag="cash", rename="camel"):
    coin_names: frozenset[str] = frozenset()


@dataclass(frozen=True)
class OldLine:
    sku: str


@dataclass(frozen=True)
class NewLine:
    sku: str
    gift: bool = False
    tags: list[str] = field(default_factory=list[str])


class Model(BaseModel, frozen=True):
    tags: frozenset[str]


class Root(RootModel[frozenset[str]], frozen=True):
    pass


@dataclass(frozen=True)
class Dataclass:
    colours: frozenset[Colour]
    lines: frozenset[Line]
    mixed: frozenset[int | str | None]
    of_sets: frozenset[frozenset[str]]
    pairs: frozenset[tuple[str, int]]
    by_number: Mapping[int, frozenset[str]]
    by_colour: dict[Colour, int]
    model: Model
    models: frozenset[Model]
    root: Root
    tagged: Tagged
    paid: Card | Cash


class Whole(BaseModel, frozen=True):
    colours: frozenset[Colour]
    lines: frozenset[Line]
    models: frozenset[Model]
    root: Root
    url: AnyUrl
    by_number: dict[int, frozenset[str]]


def messages() -> list[Any]:
    """Of all that can hold a set."""
    names = frozenset(NAMES)
    colours, lines = frozenset(Colour), frozenset(Line(name, tags=names) for name in NAMES)
    models = frozenset(Model(tags=frozenset([name, f"{name}!"])) for name in NAMES)
    of_sets = frozenset(frozenset([name, f"{name}!"]) for name in NAMES)
    pairs = frozenset((name, 1) for name in NAMES)
    by_colour = dict.fromkeys(colours, 1)  # in the order of a set
    whole = {"colours": colours, "lines": lines, "models": models, "root": Root(names)}
    return [
        Dataclass(
            colours,
            lines,
            frozenset([*NAMES, 1, 2, None]),
            of_sets,
            pairs,
            {7: names, 3: names},
            by_colour,
            Model(tags=names),
            models,
            Root(names),
            Tagged(names),
            Cash(names),
        ),
        Whole(**whole, url=AnyUrl("http://localhost/"), by_number={7: names, 3: names}),  # pyright: ignore[reportArgumentType]
    ]


def digest(message: Any) -> str:
    cls: type = message.__class__
    return Codec(cls, f"m.{cls.__name__}", 1).digest(message)


def test_the_digest_is_the_same_in_processes_that_hash_otherwise() -> None:
    script = "from tests.core.codec.test_digests import digest, messages; print([digest(one) for one in messages()])"
    root = Path(__file__).parents[3]
    paths = os.pathsep.join([str(root), *sys.path])
    said = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": paths},
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert said == {f"{[digest(one) for one in messages()]}\n"}


@pytest.mark.parametrize("message", messages(), ids=lambda one: type(one).__name__)
def test_what_was_read_again_says_the_same(message: Any) -> None:
    codec = Codec(message.__class__, "m.One", 1)
    assert codec.digest(codec.decode(codec.encode(message))) == codec.digest(message)


def test_the_order_of_a_list_is_said() -> None:
    @dataclass(frozen=True)
    class Listed:
        names: tuple[str, ...]

    assert digest(Listed(("a", "b"))) != digest(Listed(("b", "a")))


def test_a_field_that_newer_code_knows_makes_no_other_message() -> None:
    @dataclass(frozen=True)
    class Old:
        id: str
        lines: tuple[OldLine, ...]

    @dataclass(frozen=True)
    class New:
        note: str | None = None
        id: str = ""
        lines: tuple[NewLine, ...] = ()

    old, new = Codec(Old, "m.Place", 1), Codec(New, "m.Place", 1)
    said = old.digest(Old("7", (OldLine("a"),)))
    assert new.digest(New(id="7", lines=(NewLine("a"),))) == said
    for other in (
        New("quick", "7", (NewLine("a"),)),
        New(id="7", lines=(NewLine("a", gift=True),)),
        New(id="7", lines=(NewLine("a", tags=["x"]),)),
    ):
        assert new.digest(other) != said


@pytest.mark.parametrize("base", [BaseModel, Struct])
def test_so_it_is_with_models_and_structs(base: type) -> None:
    old = type("One", (base,), {"__annotations__": {"id": str}})
    new = type("One", (base,), {"__annotations__": {"id": str, "note": str, "tags": list[str]}, "note": "", "tags": []})
    assert digest(old(id="7")) == digest(new(id="7"))
    assert digest(new(id="7", note="quick")) != digest(new(id="7"))
    assert digest(new(id="7", tags=["x"])) != digest(new(id="7"))


def test_what_a_class_gives_does_not_hide_which_class_it_is() -> None:
    class Cat(BaseModel):
        kind: Literal["cat"] = "cat"

    class Dog(BaseModel):
        kind: Literal["dog"] = "dog"

    class Pet(BaseModel):
        one: Cat | Dog

    @dataclass(frozen=True)
    class Paid:
        by: Card | Cash

    assert digest(Pet(one=Cat())) != digest(Pet(one=Dog()))
    assert digest(Paid(Card())) != digest(Paid(Cash()))


def test_true_is_not_the_one_that_a_field_has_by_itself() -> None:
    @dataclass(frozen=True)
    class Counted:
        count: int | bool = 1

    assert digest(Counted(True)) != digest(Counted())


def test_what_is_nested_deeper_than_anything_has_a_digest_too() -> None:
    @dataclass(frozen=True)
    class Deep:
        anything: Any

    nested: Any = "end"
    for _ in range(2 * DEEPEST):
        nested = [nested]
    assert digest(Deep(nested)) == digest(Deep(nested)) != digest(Deep([nested]))
