"""A choreographed chain without a process: an order leads to a charge, a charge to its finalization."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from sagakit import App, Retry


@dataclass(frozen=True)
class Place:
    key: str = "a"


@dataclass(frozen=True)
class Placed:
    key: str


@dataclass(frozen=True)
class Charge:
    key: str


@dataclass(frozen=True)
class Charged:
    key: str


@dataclass(frozen=True)
class Declined:
    key: str
    reason: str = ""


@dataclass(frozen=True)
class Finalize:
    key: str


@dataclass(frozen=True)
class PaymentFinalized:
    key: str


@dataclass(frozen=True)
class PaymentFailed:
    key: str


@dataclass(frozen=True)
class Mailed:
    key: str


@dataclass
class Script:
    """What the handlers do, by the name of their message: answer, or raise. A gate holds a handler."""

    answers: dict[str, Any] = field(default_factory=dict[str, Any])
    gates: defaultdict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))
    closed: set[str] = field(default_factory=set[str])
    began: list[str] = field(default_factory=list[str])

    async def play(self, message: Any, otherwise: Any) -> Any:
        name = type(message).__name__
        self.began.append(name)
        if name in self.closed:
            await self.gates[name].wait()
        answer = self.answers.get(name, otherwise)
        if isinstance(answer, Exception):
            raise answer
        return answer


def chain() -> App:
    app = App("c")
    once = Retry(1)

    @app.handles(retry=once)
    async def place(command: Place, script: Script) -> Placed:
        return await script.play(command, Placed(command.key))

    @app.on(retry=once)
    async def charge_what_is_placed(event: Placed, script: Script) -> Charge | None:
        return await script.play(event, Charge(event.key))

    @app.on(retry=once)
    async def mail(event: Placed, script: Script) -> None:
        await script.play(Mailed(event.key), None)

    @app.handles(retry=once)
    async def charge(command: Charge, script: Script) -> Charged | Declined:
        return await script.play(command, Charged(command.key))

    @app.on
    def finalize_what_is_charged(event: Charged) -> Finalize:
        return Finalize(event.key)

    @app.handles(retry=once)
    async def finalize(command: Finalize, script: Script) -> PaymentFinalized | PaymentFailed:
        return await script.play(command, PaymentFinalized(command.key))

    return app
