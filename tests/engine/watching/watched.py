"""A small app whose process takes two steps, for tests of those who watch it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from tests.engine.stage import Ask, Declined, Stage, Told, asking_app

from sagakit import App, Engine, Saga, Update
from sagakit.testing.manual import ManualEngine

FIRST, SECOND = Ask("a", 1), Ask("a", 2)


@dataclass(frozen=True)
class Begun:
    key: str = "a"


@dataclass(frozen=True)
class Nudged:
    key: str = "a"
    number: int = 0


@dataclass(frozen=True)
class TakeBack:
    key: str
    number: int


@dataclass(frozen=True)
class TakenBack:
    key: str
    number: int


def two_steps() -> App:
    app = asking_app(key=None)

    @app.handles
    async def take_back(command: TakeBack) -> TakenBack:
        return TakenBack(command.key, command.number)

    @app.saga(key="key")
    async def ask_twice(begun: Begun, saga: Saga) -> None:
        for number in (1, 2):
            await saga.do(Ask(begun.key, number), then=Told, undo=TakeBack(begun.key, number))

    return app


def counting() -> App:
    """A process that is nudged, and ends at 100."""
    app = App("t")

    @app.process_manager(key="key", starts_with=Begun, name="count")
    @dataclass(frozen=True)
    class Count:
        numbers: tuple[int, ...] = ()

        def evolve(self, event: Begun | Nudged) -> Count:
            return self if isinstance(event, Begun) else replace(self, numbers=(*self.numbers, event.number))

        def react(self, event: Begun | Nudged) -> None:
            if isinstance(event, Nudged) and event.number == 13:
                raise ValueError("unlucky")

    return app


def shown(update: Update) -> tuple[str, str, str | None]:
    """An update without its cursor, short."""
    return update.status, update.state, update.event and type(update.event).__name__


async def taken(updates: AsyncIterator[Update]) -> list[Update]:
    """All of it, up to the end."""
    return [update async for update in updates]


def waits_for(engine: Engine) -> bool:
    """Whether anybody waits or watches."""
    return bool(engine._watching)


__all__ = ["FIRST", "SECOND", "Declined", "ManualEngine", "Stage"]
