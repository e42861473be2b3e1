"""The checks of the cells of docs/protocol.md: each brings its cell about, and tells the state after it."""

from __future__ import annotations

from collections.abc import Callable

Check = Callable[[], str]
"""Brings a state about, lets an event happen, and tells the state after it."""

CHECKS: dict[tuple[str, str, str], Check] = {}
THROUGH: dict[tuple[str, str, str], str] = {}
"""Cells whose next state is left again in the same Commit, and the event that leads on."""


def check(table: str, state: str, event: str, *, then: str = "") -> Callable[[Check], Check]:
    def register(function: Check) -> Check:
        assert (table, state, event) not in CHECKS
        CHECKS[table, state, event] = function
        if then:
            THROUGH[table, state, event] = then
        return function

    return register
