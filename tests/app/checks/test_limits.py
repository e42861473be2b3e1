"""Limits that let something through, of fields that there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from sagakit import AtOnce, Module, Rate

Problems = Callable[..., list[str]]


@dataclass(frozen=True)
class Charge:
    id: str
    tenant: str


@dataclass(frozen=True)
class Refund:
    id: str


@dataclass(frozen=True)
class Charged:
    id: str
    tenant: str


def limited(**limits: Any) -> Module:
    module = Module("m")

    @module.handles(**limits)
    async def charge(command: Charge | Refund) -> Charged:
        raise NotImplementedError

    return module


@pytest.mark.parametrize(
    "limits",
    [
        {"at_once": 1},
        {"at_once": [10, AtOnce(2, key="id")]},
        {"rate": Rate(100, per=timedelta(minutes=1), burst=10, key="id")},
        {"rate": [Rate(10, per=1), Rate(100, per=60)], "at_once": 3, "key": "id"},
    ],
)
def test_limits_that_hold_are_no_problem(problems: Problems, limits: dict[str, Any]) -> None:
    assert problems(limited(**limits)) == []


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"at_once": 0}, "at_once=0: give a whole number of 1 or more; to let nothing run for a while, pause"),
        ({"at_once": 2.5}, "at_once=2.5: give a whole number"),
        ({"at_once": True}, "at_once=True: give a whole number"),
        ({"at_once": AtOnce(-1, key="id")}, "at_once=AtOnce(-1, key='id'): give a whole number"),
        ({"rate": 100}, "rate=100: say in which time: Rate(100, per=1)"),
        ({"rate": Rate(0, per=1)}, "rate=Rate(0, per=1): give a whole number"),
        ({"rate": Rate(1, per=0)}, "rate=Rate(1, per=0), per=0: give seconds, or a timedelta, above 0"),
        ({"rate": Rate(1, per="1s")}, "per='1s': give seconds"),  # type: ignore[arg-type]
        ({"rate": Rate(1, per=1, burst=0)}, "burst=0: give a whole number"),
        ({"at_once": AtOnce(1, key="tenant")}, "Refund has no field 'tenant': name a field, or a path like 'order.id'"),
        ({"rate": Rate(1, per=1, key="tenant")}, "Refund has no field 'tenant'"),
        ({"at_once": AtOnce(1, key="")}, "key='': name a field"),
        ({"at_once": AtOnce(1, key=lambda m: m.id)}, "name a field"),  # type: ignore[arg-type]
        ({"at_once": AtOnce(5, key="id"), "key": "id"}, "lets those of one value run one at a time already"),
        ({"at_once": [5, 6]}, "at_once=6: there is another one for all messages: keep the smaller of the two"),
    ],
)
def test_each_problem_names_the_handler_the_value_and_the_mend(
    problems: Problems, limits: dict[str, Any], words: str
) -> None:
    found = problems(limited(**limits))
    assert any(words in one and one.startswith("m.charge (") for one in found), found


def test_listeners_and_forwarders_are_checked_too(problems: Problems) -> None:
    module = limited()

    @module.on(at_once=0)
    async def note(event: Charged) -> None:
        raise NotImplementedError

    @module.publishes(rate=Rate(0, per=1))
    async def forward(event: Charged) -> None:
        raise NotImplementedError

    found = problems(module)
    assert any("note" in one and "at_once=0" in one for one in found), found
    assert any("forward" in one and "Rate(0, per=1)" in one for one in found), found
