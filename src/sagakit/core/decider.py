"""Aggregates: a frozen class whose `decide` answers commands with events, and whose `evolve` folds them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

from sagakit.core.messages import Commands, as_messages

_T = TypeVar("_T")


class Decider(Protocol):
    """The shape of an aggregate: no base class is needed."""

    @property
    def decide(self) -> Callable[..., Commands]: ...
    @property
    def evolve(self) -> Callable[[Any], Self]: ...


class One:
    """The key of an aggregate that exists once in its module."""

    def __repr__(self) -> str:
        return "ONE"


ONE = One()


class Loaded(NamedTuple, Generic[_T]):
    """An aggregate as it stands: its state, and the version of its stream (0: no event yet)."""

    state: _T
    version: int


def evolve(state: _T, events: Iterable[Any]) -> _T:
    """The state after these events."""
    folded: Any = state
    for event in events:
        folded = folded.evolve(event)
    return folded


def decide(state: Any, command: Any) -> tuple[Any, ...]:
    """The events that a command leads to; pure, and may raise."""
    return tuple(as_messages(state.decide(command)))
