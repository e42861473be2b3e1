"""A small app for tests of the engine: one command, its event, and a stage on which handlers play what a test says."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sagakit import App, Context, Retry

PATIENCE = 60.0
"""Seconds of real time after which what a test waits for is not coming."""
RETRY = Retry(3, first=1.0, factor=2.0, jitter=0.0)


@dataclass(frozen=True)
class Ask:
    key: str = "a"
    number: int = 0


@dataclass(frozen=True)
class Told:
    key: str = "a"
    number: int = 0


@dataclass(frozen=True)
class Declined:
    key: str
    reason: str = ""


class Stage:
    """What handlers do, and what they have done."""

    def __init__(self) -> None:
        self.began: list[Ask] = []
        self.ended: list[Ask] = []
        self.contexts: list[Context] = []
        self.now: set[Ask] = set()
        """The commands whose handlers run."""
        self.most = 0
        """The most that ran at the same time."""
        self.answers: defaultdict[Ask, deque[Any]] = defaultdict(deque)
        """What the next runs of a command answer, or raise; then Told."""
        self._gates: dict[Ask, asyncio.Event] = {}

    def closes(self, *commands: Ask) -> None:
        """Their handlers wait until the gate is opened."""
        for command in commands:
            self._gates[command] = asyncio.Event()

    def opens(self, *commands: Ask) -> None:
        for command in commands:
            self._gates[command].set()

    def will(self, command: Ask, *answers: Any) -> None:
        """The next runs of this command answer so."""
        self.answers[command].extend(answers)

    async def play(self, command: Ask) -> Any:
        self.began.append(command)
        self.now.add(command)
        self.most = max(self.most, len(self.now))
        try:
            if command in self._gates:
                await self._gates[command].wait()
            answer = self.answers[command].popleft() if self.answers[command] else Told(command.key, command.number)
            if isinstance(answer, BaseException):
                raise answer
            return answer
        finally:
            self.now.discard(command)
            self.ended.append(command)


def asking_app(*, key: str | None = "key", retry: Retry = RETRY, timeout: float | None = None) -> App:
    """An app whose one handler plays on the stage."""
    app = App("t")

    @app.handles(key=key, retry=retry, timeout=timeout)
    async def ask(command: Ask, stage: Stage, context: Context) -> list[Told | Declined]:
        stage.contexts.append(context)
        return await stage.play(command)

    return app


def numbers(commands: list[Ask], key: str | None = None) -> list[int]:
    return [command.number for command in commands if key in (None, command.key)]


async def until(condition: Callable[[], object]) -> None:
    """Wait for what a task or thread brings about."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0)
