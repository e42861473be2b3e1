"""Process managers that several tests use."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

from tests.core.driver import AROUND, Driver
from tests.core.messages import A, ADone, ANo, B, BDone, Start, UndoA, Undone

from sagakit.core.lifecycle import Cancelled, Failed
from sagakit.core.process_manager.answers import End, Undoing
from sagakit.core.process_manager.live import ManagerDefinition


@dataclass(frozen=True)
class Chain:
    """A, then B; a refusal ends it."""

    done: tuple[str, ...] = ()
    reason: str = ""

    def evolve(self, event: ADone | BDone | ANo) -> Self:
        if isinstance(event, ANo):
            return replace(self, reason=event.reason)
        return replace(self, done=(*self.done, event.id))

    def react(self, event: Start | ADone | BDone | ANo) -> Any:
        match event:
            case Start():
                return A()
            case ADone():
                return [B()]
            case BDone():
                return End()
            case ANo():
                return End("compensated", self.reason)


@dataclass(frozen=True)
class Careful:
    """A, then B; it undoes A by itself, and takes all that it can be told."""

    told: tuple[str, ...] = ()

    def evolve(self, event: ADone | BDone | Undone | Failed[Any] | Cancelled) -> Self:
        return replace(self, told=(*self.told, type(event).__name__))

    def react(self, event: Start | ADone | BDone | Undone | Failed[Any] | Cancelled) -> Any:
        match event:
            case Start():
                return A()
            case ADone():
                return B()
            case Failed() | Cancelled():
                return Undoing(UndoA(reason=event.reason), of=A())
            case Undone():
                return End("compensated")
            case BDone():
                return End()


def manager(cls: type[Any], evolves: tuple[type, ...], reacts: tuple[type, ...]) -> ManagerDefinition:
    return ManagerDefinition(
        cls.__name__,
        cls,
        AROUND,
        starts_with=(Start,),
        evolves=frozenset(evolves),
        reacts=frozenset(reacts),
        version=1,
    )


CHAIN = manager(Chain, (ADone, BDone, ANo), (Start, ADone, BDone, ANo))
CAREFUL = manager(Careful, (ADone, BDone, Undone, Failed, Cancelled), (Start, ADone, BDone, Undone, Failed, Cancelled))


def not_taking_failed() -> Driver:
    driver = Driver(CHAIN)
    driver.start()
    return driver


def refused_and_ended() -> Driver:
    driver = not_taking_failed()
    driver.answer(driver.last(A), ANo())
    return driver


def careful() -> Driver:
    driver = Driver(CAREFUL)
    driver.start()
    return driver
