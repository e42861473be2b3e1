"""Aggregates: deciding and folding, without the library's classes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

from tests.core.messages import A, ADone, ANo

from sagakit.core.decider import ONE, Loaded, decide, evolve


@dataclass(frozen=True)
class Counter:
    count: int = 0

    def decide(self, command: A) -> Any:
        match command.n:
            case 0:
                return None
            case n if n < 0:
                return ANo("below 0")
            case n:
                return [ADone(str(number)) for number in range(n)]

    def evolve(self, event: ADone | ANo) -> Self:
        return replace(self, count=self.count + 1) if isinstance(event, ADone) else self


def test_a_decision_is_no_one_or_several_events() -> None:
    assert decide(Counter(), A(0)) == ()
    assert decide(Counter(), A(-1)) == (ANo("below 0"),)
    assert decide(Counter(), A(2)) == (ADone("0"), ADone("1"))


def test_the_state_is_the_fold_of_the_events() -> None:
    assert evolve(Counter(), [ADone(), ANo(), ADone()]) == Counter(2)
    assert evolve(Counter(7), []) == Counter(7)


def test_how_things_are_shown() -> None:
    assert repr(ONE) == "ONE"
    state, version = Loaded(Counter(3), 5)
    assert (state.count, version) == (3, 5)
