"""What is asked for by type is given by somebody."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

import pytest

from sagakit import App, Context, DeclarationError, Module

Problems = Callable[..., list[str]]


@dataclass(frozen=True)
class Do:
    id: str


@dataclass(frozen=True)
class Done:
    id: str


class Cards(Protocol):
    async def charge(self) -> None: ...


NO_CARDS: Cards = None  # type: ignore[assignment]


class Client: ...


class Settings: ...


class Bank:
    def __init__(self, client: Client) -> None: ...


@pytest.fixture
def module() -> Module:
    module = Module("m")

    @module.handles
    async def handle(command: Do, cards: Cards, context: Context, retries: int = 3) -> Done:
        raise NotImplementedError

    return module


def test_nothing_provides_what_a_handler_asks_for(module: Module, problems: Problems) -> None:
    [problem] = problems(module)
    assert problem.startswith("m.handle (tests/app/checks/test_provided.py:")
    assert problem.endswith(
        "nothing provides Cards (parameter 'cards'): declare a function that returns it with @module.provides, "
        "or pass provide={Cards: ...} when the engine starts"
    )


def test_a_provider(module: Module, problems: Problems) -> None:
    @module.provides
    async def cards() -> AsyncIterator[Cards]:
        raise NotImplementedError
        yield

    assert problems(module) == []


def test_the_caller_of_the_engine_provides(module: Module, problems: Problems) -> None:
    assert problems(module, provide=(Cards,)) == []
    app = App("app", module)
    assert app.topology(provide={Cards: object()}) is app.topology(provide=[Cards])
    with pytest.raises(DeclarationError):
        app.topology()


def test_a_class_provides_itself(problems: Problems) -> None:
    module = Module("m")
    module.provides(Bank)
    module.provides(Client)

    @module.on
    async def listen(event: Done, bank: Bank) -> None: ...

    assert problems(module) == []
    entries = {entry.provides: entry for entry in App("app", module).topology().providers}
    assert dict(entries[Bank].asks) == {"client": Client}
    assert dict(entries[Client].asks) == {}


def test_what_a_provider_asks_for(module: Module, problems: Problems) -> None:
    @module.provides
    def cards(client: Client, settings: Settings | None = None) -> Cards:
        raise NotImplementedError

    [problem] = problems(module)
    assert "m.cards (" in problem
    assert "nothing provides Client (parameter 'client')" in problem
    assert problems(module, provide=(Client,)) == []
    assert problems(module, provide=(Cards,)) == []  # it goes before the provider, which then asks for nothing


def test_what_a_provider_can_do_without(problems: Problems) -> None:
    module = Module("m")

    @module.provides
    def client(settings: Settings | None = None, bank: Bank | None = None, extra: Cards = NO_CARDS) -> Client:
        raise NotImplementedError

    @module.provides
    def cards() -> Cards:
        raise NotImplementedError

    assert problems(module) == []
    entry = next(one for one in App("app", module).topology().providers if one.provides is Client)
    assert dict(entry.asks) == {"extra": Cards}


def test_a_provider_has_no_message(module: Module, problems: Problems) -> None:
    @module.provides
    def cards(context: Context) -> Cards:
        raise NotImplementedError

    [problem] = problems(module)
    assert problem.endswith("a provider is opened once, and has no message: it cannot ask for a Context")


def test_two_providers_of_one_type(module: Module, problems: Problems) -> None:
    other = Module("other")

    @module.provides
    def cards() -> Cards:
        raise NotImplementedError

    @other.provides
    def more_cards() -> Cards:
        raise NotImplementedError

    [problem] = problems(module, other)
    assert problem.startswith("Cards is provided by m.cards (")
    assert problem.endswith("): let one provide it")


def test_a_provider_that_does_not_say_what_it_gives(module: Module, problems: Problems) -> None:
    @module.provides
    def cards():  # type: ignore[no-untyped-def]
        raise NotImplementedError

    found = problems(module, provide=(Cards,))
    assert [problem.rpartition("): ")[2] for problem in found] == [
        "has no return annotation: name the type that is asked for"
    ]


def test_providers_in_a_circle(problems: Problems) -> None:
    module = Module("m")

    @module.provides
    def client(settings: Settings) -> Client:
        raise NotImplementedError

    @module.provides
    def settings(bank: Bank) -> Settings:
        raise NotImplementedError

    @module.provides
    def bank(client: Client) -> Bank:
        raise NotImplementedError

    [problem] = problems(module)
    names = [part.strip().partition(" ")[0] for part in problem.split(" asks for ")]
    assert names == ["m.client", "m.settings", "m.bank", "m.client"]
    assert problem.endswith("): one of them has to do without the other")
