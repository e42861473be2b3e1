"""Engines in which everything comes more than once, or in another order that is allowed."""

from __future__ import annotations

from copy import copy
from random import Random
from typing import Any

from sagakit.core.commit import Delivery
from sagakit.engine.engine import Engine
from sagakit.engine.handlers.process_handler import ProcessHandler
from sagakit.engine.lanes.lane import Lane
from sagakit.engine.lanes.lanes import Lanes


class ThriceLanes(Lanes):
    """Every delivery is handed out three times."""

    def put(self, delivery: Delivery) -> None:
        """Queue it, and two of its copies."""
        for one in (delivery, copy(delivery), copy(delivery)):
            super().put(one)


class StaleLanes(Lanes):
    """Before and after every delivery comes a run of an attempt that is over."""

    def put(self, delivery: Delivery) -> None:
        """Queue it, between two that come too late."""
        for one in (_stale(delivery), delivery, _stale(delivery)):
            super().put(one)


class ShuffledLanes(Lanes):
    """Which lane goes on next is drawn; within a lane the order stays."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._chance = Random(0)  # noqa: S311  (the same order each time)

    def wake(self, lane: Lane) -> None:
        """Somewhere among those that can go on."""
        super().wake(lane)
        self._chance.shuffle(self._ready)


class LateProcesses(ProcessHandler):
    """No process reacts in the Commit of what it is told: each time it is a delivery."""

    @property
    def inline(self) -> bool:
        """Never."""
        return False

    @inline.setter
    def inline(self, value: bool) -> None: ...


class ThriceEngine(Engine):
    """Runs every delivery three times."""

    lanes_class = ThriceLanes


class StaleEngine(Engine):
    """Runs what is over as well."""

    lanes_class = StaleLanes


class ShuffledEngine(Engine):
    """Runs lanes in another order."""

    lanes_class = ShuffledLanes


class LateEngine(Engine):
    """Tells processes later, and runs lanes in another order."""

    lanes_class = ShuffledLanes
    processes_class = LateProcesses


def _stale(delivery: Delivery) -> Delivery:
    old = copy(delivery)
    old.attempt -= 1
    return old
