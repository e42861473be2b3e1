"""Functions and classes whose annotations do not say what they must are named, all at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from sagakit import App, Context, DeclarationError, End, Later, Message, Module, Saga

if TYPE_CHECKING:
    from nowhere import Missing

Problems = Callable[..., list[str]]


@dataclass(frozen=True)
class Do:
    id: str


@dataclass(frozen=True)
class Done:
    id: str


@dataclass(frozen=True)
class Start:
    id: str


MISSING = "'Missing' is not known there when the app is put together (imported for type checking only?)"
A_MESSAGE = "(a dataclass, a msgspec Struct or a pydantic model, or a union of them)"


def told(problems: list[str]) -> list[str]:
    """What is said of each place, without the place."""
    return [problem.partition("): ")[2] or problem for problem in problems]


def handles(function: Callable[..., Any]) -> Module:
    module = Module("m")
    module.handles(function)
    return module


def test_the_place_comes_first(problems: Problems) -> None:
    async def handle(command: Do) -> str:
        return ""

    line = handle.__code__.co_firstlineno
    assert problems(handles(handle)) == [
        f"m.handle (tests/app/reading/test_read.py:{line}): returns str: name the events that it leads to"
    ]


def test_a_first_parameter_that_is_no_message(problems: Problems) -> None:
    async def text(command: str) -> Done:
        raise NotImplementedError

    async def silent(command) -> Done:  # type: ignore[no-untyped-def]
        raise NotImplementedError

    async def nothing() -> Done:
        raise NotImplementedError

    async def optional(command: Do | None) -> Done:
        raise NotImplementedError

    async def anything(command: Message) -> Done:
        raise NotImplementedError

    async def context(context: Context, command: Do) -> Done:
        raise NotImplementedError

    must = f"it must name the command that it takes {A_MESSAGE}"
    assert told(problems(handles(text))) == [f"its first parameter names str: {must}"]
    assert told(problems(handles(silent))) == [f"its first parameter names no message class: {must}"]
    assert told(problems(handles(nothing))) == [f"its first parameter names no message class: {must}"]
    assert told(problems(handles(optional))) == [f"its first parameter names None: {must}"]
    assert told(problems(handles(anything))) == [f"its first parameter names no message class: {must}"]
    assert f"its first parameter names Context: {must}" in told(problems(handles(context)))


def test_answers_that_are_no_events(problems: Problems) -> None:
    async def none(command: Do) -> None: ...

    async def perhaps(command: Do) -> Done | None: ...

    async def silent(command: Do):  # type: ignore[no-untyped-def]
        ...

    async def anything(command: Do) -> Message:
        raise NotImplementedError

    async def generator(command: Do) -> AsyncIterator[Done]:
        yield Done("")

    name = "name the events that it leads to"
    assert told(problems(handles(none))) == [f"returns None: {name}"]
    assert told(problems(handles(perhaps))) == ["may return None: let an event say what happened then"]
    assert told(problems(handles(silent))) == [f"has no return annotation: {name}"]
    assert told(problems(handles(anything))) == [f"returns any message: {name}"]
    assert told(problems(handles(generator))) == ["is a generator: return what it leads to, do not yield it"]


def test_any_message_is_enough_where_the_source_shows_which(problems: Problems) -> None:
    async def handle(command: Do) -> Message:
        return Done(command.id)

    assert problems(handles(handle)) == []
    assert App("app", handles(handle)).topology().around.outcomes[Do] == {Done}


def test_names_that_cannot_be_resolved(problems: Problems) -> None:
    async def handle(command: Missing, other: Missing) -> Missing:
        raise NotImplementedError

    assert told(problems(handles(handle))) == [
        f"parameter 'command': Missing cannot be resolved: {MISSING}",
        f"parameter 'other': Missing cannot be resolved: {MISSING}",
        f"the return annotation: Missing cannot be resolved: {MISSING}",
    ]


def test_who_may_answer_later(problems: Problems) -> None:
    async def hands_over(command: Do) -> Done | Later:
        raise NotImplementedError

    async def says_nothing(command: Do) -> Later:
        raise NotImplementedError

    async def listens(event: Done) -> Later:
        raise NotImplementedError

    assert told(problems(handles(hands_over))) == []
    assert told(problems(handles(says_nothing))) == ["returns any message: name the events that it leads to"]
    module = handles(hands_over)
    module.on(listens)  # type: ignore[type-var]
    assert told(problems(module)) == ["may return Later: only who handles a command can hand it over"]


def test_listeners(problems: Problems) -> None:
    module = Module("m")

    @module.handles
    async def handle(command: Do) -> Done:
        raise NotImplementedError

    @module.on
    async def effects(event: Start) -> None: ...

    @module.on
    async def unsaid(event: Start): ...  # type: ignore[no-untyped-def]

    @module.on
    def commands(event: Start) -> list[Do] | None: ...

    @module.on
    def seen(event: Start) -> Sequence[Message]:
        return [Do(event.id)]

    @module.on
    def text(event: Start) -> str:  # type: ignore[type-var]
        return ""

    @module.on
    def plain(event: Start):  # type: ignore[no-untyped-def]
        ...

    assert told(problems(module)) == [
        "returns str: name the commands that it sends",
        "has no return annotation: name the commands that it sends",
    ]


def test_forwarders(problems: Problems) -> None:
    module = Module("m")

    @module.publishes
    def forward(event: Start) -> Done | None: ...

    @module.publishes
    def wrong(event: Start) -> str:  # type: ignore[type-var]
        return ""

    assert told(problems(module)) == ["returns str: name the events that it leads to"]


def test_aggregates(problems: Problems) -> None:
    module = Module("m")

    @module.aggregate(key="id")
    @dataclass(frozen=True)
    class Silent:
        def decide(self, command): ...  # type: ignore[no-untyped-def]
        def evolve(self, event): ...  # type: ignore[no-untyped-def]

    @module.aggregate(key="id")
    @dataclass(frozen=True)
    class Lost:
        def decide(self, command: Missing) -> Missing:
            raise NotImplementedError

        def evolve(self, event: Missing) -> Missing:
            raise NotImplementedError

    @module.aggregate(key="id")
    @dataclass(frozen=True)
    class Slow:
        async def decide(self, command: Do) -> Done:  # type: ignore[override]
            raise NotImplementedError

        def evolve(self, event: Done | str) -> Slow:
            raise NotImplementedError

    found = problems(module)
    of = {
        name: [problem.partition("), ")[2] for problem in found if problem.startswith(f"m.{name} (")]
        for name in ("Silent", "Lost", "Slow")
    }
    must = "its parameter must be annotated with the events that it takes"
    assert of["Silent"] == [
        f"decide: its first parameter names no message class: it must name the command that it takes {A_MESSAGE}",
        "decide: its return annotation must name the events that it may lead to",
        f"evolve: {must}",
    ]
    assert of["Lost"] == [
        f"decide: parameter 'command': Missing cannot be resolved: {MISSING}",
        f"decide: the return annotation: Missing cannot be resolved: {MISSING}",
        f"evolve: parameter 'event': Missing cannot be resolved: {MISSING}",
    ]
    assert of["Slow"] == [
        "decide: is async: deciding is pure; a service handler does what takes time",
        f"evolve: {must}",
    ]


def test_code_sagas(problems: Problems) -> None:
    module = Module("m")

    @module.saga(key="id")
    def plain(start: Start, saga: Saga) -> None: ...  # type: ignore[arg-type]

    @module.saga(key="id")
    async def alone(start: Start) -> None: ...  # type: ignore[arg-type]

    @module.saga(key="id")
    async def swapped(saga: Saga, start: Start) -> None: ...  # type: ignore[arg-type]

    @module.saga(key="id")
    async def number(start: Start, saga: Saga) -> int:  # type: ignore[arg-type]
        return 1

    @module.saga(key="id")
    async def unsaid(start: Start, saga: Saga): ...  # type: ignore[no-untyped-def]

    found = problems(module)
    assert told(found) == [
        "is a plain function: a saga is an `async def`",
        "takes a message and a Saga and nothing else: handlers do what needs more",
        f"its first parameter names Saga: it must name the event or command that starts it {A_MESSAGE}",
        "takes a message and a Saga and nothing else: handlers do what needs more",
        "returns int: name the events that it ends with, or None",
    ]


def test_process_managers(problems: Problems) -> None:
    module = Module("m")

    @module.process_manager(key="id", starts_with=Start)
    @dataclass(frozen=True)
    class Wrong:
        async def react(self, event: Start | str) -> End:  # type: ignore[override]
            return End()

        def evolve(self, event) -> Wrong:  # type: ignore[no-untyped-def]
            return self

    @module.process_manager(key="id", starts_with=Start)
    @dataclass(frozen=True)
    class WithoutEvolve:
        def react(self, event: Start) -> End:
            return End()

    @module.process_manager(key="id", starts_with=Start)
    @dataclass(frozen=True)
    class EvolvesAnything:
        def react(self, event: Start) -> End:
            return End()

        def evolve(self, event: Message) -> EvolvesAnything:
            return self

    assert [problem.partition("), ")[2] for problem in problems(module)] == [
        f"react: its first parameter names str: it must name the events that it takes {A_MESSAGE}",
        "evolve: its parameter must be annotated with the events that it takes",
        "react: is async: reacting is pure; a handler does what takes time",
    ]


def test_providers(problems: Problems) -> None:
    module = Module("m")

    class Cards: ...

    @module.provides
    def silent(cards):  # type: ignore[no-untyped-def]
        return cards

    @module.provides
    def optional(count: int = 3, name=None) -> Cards:  # type: ignore[no-untyped-def]
        return Cards()

    assert told(problems(module)) == [
        "parameter 'cards' has no annotation: what is asked for is found by its type",
        "has no return annotation: name the type that is asked for",
    ]


def test_all_problems_at_once() -> None:
    module = Module("m")

    @module.handles
    async def one(command: str) -> Done:
        raise NotImplementedError

    @module.saga(key="number")
    async def two(start: Start, saga: Saga) -> None:
        await saga.do(Do(start.id), then=Done)

    with pytest.raises(DeclarationError) as raised:
        App("shop", module).check()
    error = raised.value
    assert len(error.problems) == 3
    assert str(error) == "the app 'shop' cannot run:" + "".join(f"\n  - {one}" for one in error.problems)
    assert all("\n" not in problem for problem in error.problems)


def test_declarations_inside_functions_are_read() -> None:
    @dataclass(frozen=True)
    class LocalDo:
        id: str

    @dataclass(frozen=True)
    class LocalDone:
        id: str
        names: tuple[str, ...] = field(default=())

    module = Module("m")

    @module.handles(key="id")
    async def handle(command: LocalDo) -> LocalDone:
        raise NotImplementedError

    @module.aggregate(key="id")
    @dataclass(frozen=True)
    class LocalAggregate:
        def decide(self, command: Do) -> Done:
            raise NotImplementedError

        def evolve(self, event: Done) -> LocalAggregate:
            return self

    assert set(App("app", module).topology().codecs.by_name) >= {"m.LocalDo", "m.LocalDone"}
