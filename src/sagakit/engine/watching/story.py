"""What is under way in one story: its deliveries and its instances, and what these may still lead to."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Any

from sagakit.core.commit import ENDED, Delivery, Instance
from sagakit.engine.watching.reach import NOTHING, Reach
from sagakit.engine.watching.updates import Watcher


class Waiter:
    """One who waits for one of several event types in one story."""

    __slots__ = (
        "_error",
        "_event",
        "_wake",
        "doubtful",
        "looking_back",
        "processes",
        "reachable",
        "reason",
        "settled",
        "story",
        "until",
    )

    def __init__(self, story: Story, until: tuple[type, ...], *, looking_back: bool) -> None:
        self.story = story
        self.until = until
        self.processes: frozenset[str] = story.reach.towards(until)
        """Those whose running instances may lead to it."""
        self.looking_back = looking_back
        """Until all that had come before is known, no failure counts."""
        self.reachable = False
        """Whether, by what the app declares, it could have come at some time."""
        self.doubtful = False
        """Whether something has happened after which it may not come any more."""
        self.reason: Exception | None = None
        """What that was."""
        self.settled = False
        """Whether it has been told."""
        self._event: Any = None
        self._error: Exception | None = None
        self._wake: asyncio.Future[None] | None = None

    @property
    def wanted(self) -> str:
        """What it waits for, in words."""
        return " or ".join(cls.__name__ for cls in self.until)

    def answer(self, event: Any) -> None:
        """The awaited event has come."""
        if not self.settled:
            self.settled, self._event = True, event
            self._go_on()

    def fail(self, error: Exception) -> None:
        """It will not come."""
        if not self.settled:
            self.settled, self._error = True, error
            self._go_on()

    def doubt(self, reason: Exception | None) -> None:
        """It may not come any more: somebody has to look."""
        self.doubtful, self.reason = True, reason or self.reason
        self._go_on()

    async def news(self) -> None:
        """Wait until it is told, or doubts."""
        if not self.settled and not self.doubtful:
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake

    def result(self) -> Any:
        """What it was told."""
        if self._error is not None:
            raise self._error
        return self._event

    def _go_on(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)


class Story:
    """As much of a story as those who wait for it or watch it have to know."""

    __slots__ = (
        "_answered",
        "_handed",
        "_instances",
        "_parked",
        "_reached",
        "_under_way",
        "awaited",
        "correlation_id",
        "failure",
        "looked_back",
        "position",
        "reach",
        "scanned",
        "told",
        "tracked",
        "waiters",
        "watchers",
    )

    def __init__(self, correlation_id: str, reach: Reach) -> None:
        self.correlation_id = correlation_id
        self.waiters: list[Waiter] = []
        self.awaited: set[type] = set()
        """What any of them has waited for."""
        self.watchers: list[Watcher] = []
        self.tracked = False
        """Whether it is followed what is under way: not as long as all goes as it should."""
        self.scanned = False
        """Whether its deliveries are known that were under way before anybody asked."""
        self.looked_back = False
        """Whether its instances are known that were there before anybody asked."""
        self.position = 0
        """Of its newest message in the log; 0: there is none yet."""
        self.failure: Exception | None = None
        """The last one: why what is awaited may not come."""
        self.told = "running"
        """The status that its watchers were told last."""
        self.reach = reach

    # ------------------------------------------------------------------ those who wait

    def wait(self, until: tuple[type, ...], *, looking_back: bool) -> Waiter:
        """Somebody waits for one of these from now on."""
        waiter = Waiter(self, until, looking_back=looking_back)
        self.waiters.append(waiter)
        self.awaited.update(until)
        return waiter

    def answer(self, event: Any) -> None:
        """One of what is awaited has come."""
        for waiter in self.waiters:
            if event.__class__ in waiter.until:
                waiter.answer(event)

    # ------------------------------------------------------------------ what changes

    def track(self) -> None:
        """From now on it is followed what is under way."""
        self.tracked = True
        self._under_way: dict[int, tuple[Delivery, frozenset[type]]] = {}
        self._parked: set[int] = set()
        self._reached: Counter[frozenset[type]] = Counter()
        self._instances: dict[str, tuple[Instance, frozenset[type]]] = {}
        self._handed: dict[str, frozenset[type]] = {}
        self._answered: set[str] = set()

    def hand_over(self, command_id: str, reach: frozenset[type]) -> None:
        """A command of no process waits for the answer of a participant."""
        if command_id not in self._handed and command_id not in self._answered:
            self._handed[command_id] = reach
            self._reached[reach] += 1

    def answered(self, command_id: str) -> frozenset[type] | None:
        """Such a command has its answer. Returns what it might have led to; None if it was not known to wait."""
        reach = self._handed.pop(command_id, None)
        if reach is not None:
            self._answered.add(command_id)
            self._forget(reach)
        return reach

    def add(self, delivery: Delivery) -> None:
        """It is to be handled, or waits for a person."""
        if delivery.id in self._under_way:
            return
        if delivery.state == "parked":
            self._parked.add(delivery.id)
            reach = NOTHING
        else:
            reach = self.reach.of_delivery(delivery)
        self._under_way[delivery.id] = (delivery, reach)
        self._reached[reach] += 1

    def finish(self, id: int) -> tuple[Delivery, frozenset[type]]:
        """It is handled or given up. Returns what it was, and what it might have led to."""
        delivery, reach = self._under_way.pop(id)
        self._parked.discard(id)
        self._forget(reach)
        return delivery, reach

    def _forget(self, reach: frozenset[type]) -> None:
        self._reached[reach] -= 1
        if not self._reached[reach]:
            del self._reached[reach]

    def change(self, id: int, *, parked: bool) -> Delivery:
        """It waits for a person from now on, or it does not any more. Returns what it is."""
        delivery, _ = self.finish(id)
        reach = NOTHING if parked else self.reach.of_delivery(delivery)
        if parked:
            self._parked.add(id)
        self._under_way[id] = (delivery, reach)
        self._reached[reach] += 1
        return delivery

    def stands(self, row: Instance) -> None:
        """An instance of this story has come to this; one that has ended stays known as well."""
        known = self._instances.get(row.id)
        if known is None or known[0].status != row.status:
            self._instances[row.id] = (row, self.reach.of_instance(row))

    # ------------------------------------------------------------------ what that means

    @property
    def known(self) -> bool:
        """Whether all that is under way is known."""
        return self.scanned and self.looked_back and self.position > 0

    @property
    def deliveries(self) -> Iterable[int]:
        """The ids of what is under way."""
        return self._under_way

    @property
    def instances(self) -> Iterable[str]:
        """The ids of its instances."""
        return self._instances

    @property
    def status(self) -> str:
        """Of the whole: "running", "parked" where nothing goes on without a person, or "ended"."""
        live = {row.status for row, _ in self._instances.values()} - ENDED
        if not self.known or self._handed or len(self._under_way) > len(self._parked) or live & {"running", "undoing"}:
            return "running"
        return "parked" if live or self._parked else "ended"

    def may_lead_to(self, types: Iterable[type]) -> bool:
        """Whether one of these may still come, by what the app declares."""
        return any(not reach.isdisjoint(types) for reach in self._reached) or any(
            not reach.isdisjoint(types) for _, reach in self._instances.values()
        )
