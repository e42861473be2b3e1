"""What the desk does: a case that asks twice, and waits for a word."""

from __future__ import annotations

from dataclasses import dataclass, field

from sagakit import App, Retry, Saga


@dataclass(frozen=True)
class Opened:
    key: str


@dataclass(frozen=True)
class Ask:
    key: str
    text: str = "?"


@dataclass(frozen=True)
class Told:
    key: str


@dataclass(frozen=True)
class Check:
    key: str


@dataclass(frozen=True)
class Checked:
    key: str


@dataclass(frozen=True)
class Uncheck:
    key: str


@dataclass(frozen=True)
class Unchecked:
    key: str


@dataclass(frozen=True)
class Word:
    key: str
    text: str = ""


@dataclass(frozen=True)
class Piled:
    key: str
    count: int


@dataclass
class Desk:
    """Commands of the types in `down` fail."""

    down: set[type] = field(default_factory=set[type])
    done: list[object] = field(default_factory=list[object])

    def do(self, command: object) -> None:
        if type(command) in self.down:
            raise ConnectionError("nobody there")
        self.done.append(command)


async def case(opened: Opened, saga: Saga) -> None:
    """Check, and wait for a word."""
    await saga.do(Check(opened.key), then=None, undo=Uncheck(opened.key))
    await saga.receive(Word)


async def pile(piled: Piled, saga: Saga) -> None:
    """Ask of each case in a pile."""
    await saga.each(range(piled.count), lambda number: Ask(f"{piled.key}{number}"), then=Told)


def desk() -> App:
    app = App("t")

    @app.handles(retry=Retry(1))
    async def ask(command: Ask, desk: Desk) -> Told:
        desk.do(command)
        return Told(command.key)

    @app.handles(retry=Retry(None, first=3600, cap=3600))
    async def check(command: Check, desk: Desk) -> Checked:
        desk.do(command)
        return Checked(command.key)

    @app.handles(retry=Retry(1))
    async def uncheck(command: Uncheck, desk: Desk) -> Unchecked:
        desk.do(command)
        return Unchecked(command.key)

    app.saga(key="key", name="case", receives=Word)(case)
    app.saga(key="key", name="pile")(pile)
    return app
