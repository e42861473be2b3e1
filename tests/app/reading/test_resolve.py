"""Annotations are taken apart down to the message classes in them, and what cannot be resolved is named."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Generic, NoReturn, Optional, TypeAlias, TypeVar, Union

import pytest
from msgspec import Struct
from pydantic import BaseModel

from sagakit import Later, Message, Module
from sagakit.app.reading.resolve import (
    Named,
    Unresolved,
    annotations_of,
    asked,
    closure_of,
    named,
    place,
    provided_type,
    read,
    text,
)

if TYPE_CHECKING:
    from nowhere import Missing


@dataclass(frozen=True)
class A:
    x: int


class B(Struct, frozen=True):
    y: int


class C(BaseModel):
    z: int


class Plan:
    class Step1:
        @dataclass(frozen=True)
        class Create:
            name: str

        class Failed:
            @dataclass(frozen=True)
            class Cancelled:
                name: str


T = TypeVar("T")


class Box(Struct, Generic[T]):
    inside: T


class Cards: ...


Event: TypeAlias = A | B
Nested: TypeAlias = Event | C


@pytest.mark.parametrize(
    ("hint", "messages"),
    [
        (A, (A,)),
        (B, (B,)),
        (C, (C,)),
        (Event, (A, B)),
        (Nested, (A, B, C)),
        (Union[A, B], (A, B)),  # noqa: UP007
        (Annotated[A, "docs"], (A,)),
        (list[A], (A,)),
        (list[A | B], (A, B)),
        (Sequence[Event], (A, B)),
        (tuple[A, ...], (A,)),
        (tuple[A, B], (A, B)),
        (Coroutine[Any, Any, A], (A,)),
        (Awaitable[A | B], (A, B)),
        (Box[int], (Box,)),
        (A | list[B], (A, B)),
    ],
)
def test_messages_in_an_annotation(hint: Any, messages: tuple[type, ...]) -> None:
    assert named(hint) == Named(messages)


def test_none_beside_messages() -> None:
    assert named(Optional[A]) == Named((A,), none=True)  # noqa: UP045
    assert named(A | None) == Named((A,), none=True)
    assert named(None) == Named(none=True)


def test_a_message_is_any_message() -> None:
    assert named(Message).anything
    assert named(Sequence[Message]).anything
    assert named(Message | Sequence[Message] | None) == Named(none=True, anything=True)


def test_a_message_that_may_come_later() -> None:
    assert named(A | Later) == Named((A,), later=True)
    assert named(Awaitable[Later]) == Named(later=True)


def test_never_names_nothing() -> None:
    assert named(NoReturn) == Named()
    assert named(A) == Named((A,))


def test_what_is_no_message_is_kept() -> None:
    assert named(A | str) == Named((A,), others=(str,))
    assert named(dict[str, A]) == Named(others=(dict[str, A],))
    assert named(Unresolved("X", "why")) == Named(others=(Unresolved("X", "why"),))


def test_an_alias_of_the_new_kind_is_looked_into() -> None:
    class Alias:  # as `type Alias = A | B` is at run time, from Python 3.12 on
        __value__ = A | B

    assert named(Alias()) == Named((A, B))


# ---------------------------------------------------------------------- functions


async def handle(command: A, cards: Cards, count: int = 3) -> B | C:
    raise NotImplementedError


async def nested(command: Plan.Step1.Create) -> Plan.Step1.Failed.Cancelled:
    raise NotImplementedError


def test_the_first_parameter_the_answer_and_the_rest() -> None:
    signature = read(handle, {})
    assert signature.first == "command"
    assert signature.takes == Named((A,))
    assert signature.returns == Named((B, C))
    assert signature.asks == {"cards": Cards, "count": int}
    assert signature.optional == {"count"}
    assert signature.problems == ()


def test_nested_classes() -> None:
    signature = read(nested, {})
    assert signature.takes == Named((Plan.Step1.Create,))
    assert signature.returns == Named((Plan.Step1.Failed.Cancelled,))


def test_a_function_without_parameters() -> None:
    def empty() -> A:
        raise NotImplementedError

    signature = read(empty, {})
    assert (signature.first, signature.takes) == ("", Named())


def test_a_function_that_says_nothing() -> None:
    def silent(command, cards): ...  # type: ignore[no-untyped-def]

    signature = read(silent, {})
    assert signature.takes == Named()
    assert signature.returns is None
    assert signature.problems == ("parameter 'cards' has no annotation: what is asked for is found by its type",)


def test_a_method_without_self() -> None:
    class Thing:
        def decide(self, command: A) -> B:
            raise NotImplementedError

    assert read(Thing.decide, {}, method=True).takes == Named((A,))


def test_what_wraps_a_function_is_seen_through() -> None:
    def traced(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*arguments: Any, **named: Any) -> Any:
            return function(*arguments, **named)

        return wrapper

    assert read(traced(handle), {}).takes == Named((A,))


def test_stars_are_not_asked_for() -> None:
    def handle(command: A, *rest: int, **more: int) -> B:
        raise NotImplementedError

    assert read(handle, {}).asks == {}


def test_what_is_asked_for_is_given_by_name() -> None:
    def handle(command: A, cards: Cards, /) -> B:
        raise NotImplementedError

    [problem] = read(handle, {}).problems
    assert problem == "parameter 'cards' is positional only: what is asked for is given by name"


def test_extras_of_what_is_asked_for_are_dropped() -> None:
    def handle(command: A, cards: Annotated[Cards, "the bank's"], more: Annotated[Cards | None, ""] = None) -> B:
        raise NotImplementedError

    assert read(handle, {}).asks == {"cards": Cards, "more": Cards}


def test_a_name_that_cannot_be_resolved_spoils_no_other() -> None:
    def handle(command: A, other: Missing) -> Missing:
        raise NotImplementedError

    signature = read(handle, {})
    assert signature.takes == Named((A,))
    why = "'Missing' is not known there when the app is put together (imported for type checking only?)"
    assert signature.problems == (
        f"parameter 'other': Missing cannot be resolved: {why}",
        f"the return annotation: Missing cannot be resolved: {why}",
    )


def test_an_annotation_that_fails_in_another_way() -> None:
    def handle(command: A.nothing) -> B:  # type: ignore[name-defined]
        raise NotImplementedError

    [problem] = read(handle, {}).problems
    assert "AttributeError" in problem


def test_names_of_the_function_around() -> None:
    @dataclass(frozen=True)
    class Local:
        x: int

    def handle(command: Local) -> Local:
        raise NotImplementedError

    assert read(handle, {"Local": Local}).takes == Named((Local,))
    assert read(handle, {}).problems  # nothing else knows the name


def test_names_that_the_function_itself_uses_are_known() -> None:
    @dataclass(frozen=True)
    class Local:
        x: int

    def handle(command: Local) -> Local:
        return Local(command.x)

    assert closure_of(handle) == {"Local": Local}
    assert read(handle, {}).takes == Named((Local,))


def test_a_declaration_inside_a_function_knows_the_names_there() -> None:
    @dataclass(frozen=True)
    class Local:
        x: int

    module = Module("m")

    @module.handles
    async def handle(command: Local) -> A:
        raise NotImplementedError

    @module.handles(timeout=3)
    async def again(command: Local) -> A:
        raise NotImplementedError

    assert module.declared.local_names["Local"] is Local


# ---------------------------------------------------------------------- classes, providers, places


def test_the_annotations_of_a_class_and_of_what_it_is_made_of() -> None:
    @dataclass
    class Parent:
        a: A

    @dataclass
    class Child(Parent):
        b: B

    assert annotations_of(Child, {}) == {"a": A, "b": B}


def test_the_type_that_a_provider_gives() -> None:
    async def opened() -> AsyncIterator[Cards]:
        yield Cards()

    def kept() -> Iterator[Cards]:
        yield Cards()

    def plain() -> Cards:
        return Cards()

    async def awaited() -> Cards:
        return Cards()

    def iterator() -> Iterator[int]:
        return iter(())

    def silent():  # type: ignore[no-untyped-def]
        return Cards()

    for provider in (opened, kept, plain, awaited, Cards):
        assert provided_type(provider, {}) is Cards
    assert provided_type(iterator, {}) == Iterator[int]
    assert provided_type(silent, {}) is None


def test_asking_adds_its_problems() -> None:
    problems: list[str] = []
    assert asked([], {}, problems) == ({}, frozenset())
    assert problems == []


def test_the_place_of_a_function_and_of_a_class() -> None:
    class Aggregate:
        def decide(self) -> None: ...

    here = "tests/app/reading/test_resolve.py:"
    assert place(handle) == f"{here}{handle.__code__.co_firstlineno}"
    assert place(Aggregate) == f"{here}{Aggregate.decide.__code__.co_firstlineno}"
    assert place(A) == ""  # its methods were generated
    assert place(None) == ""


def test_annotations_in_words() -> None:
    assert text(Plan.Step1.Create) == "Plan.Step1.Create"
    assert text(Unresolved("Missing", "")) == "Missing"
    assert text(list[int]) == "list[int]"
