"""What this worker owns: asked before each delivery and each inline reaction, so each answer is a look or two."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from sagakit.core.cluster.members import Owned
from sagakit.core.commit import Delivery
from sagakit.core.streams import partition, partition_of
from sagakit.engine.lanes.lane import Lane

Home = tuple[str, int]
"""A consumer, and a partition of it."""


class TakenOver(Protocol):
    """A partition whose deliveries are still being read."""

    @property
    def suspect(self) -> set[Home]:
        """The partitions of it in which somebody has crashed."""
        ...

    def leaves(self, delivery: Delivery, *, own: bool) -> bool:
        """Whether a delivery stays in the store for now, or was read from there already."""
        ...


class Ownership:
    """Partitions by consumer. One is live, or being taken over, or being handed over, or somebody else's."""

    def __init__(self, target: Callable[[Delivery], str]) -> None:
        self._target = target
        """The consumer that a delivery of the engine's own is about."""
        self.live: dict[str, set[int]] = {}
        self.taking: dict[str, dict[int, TakenOver]] = {}
        self.leaving: dict[str, set[int]] = {}
        self._beside: tuple[str, ...] = ()
        self._arriving: Owned | None = None
        """What `arriving` says, until something changes: it is asked at each word of another worker."""

    def read_beside(self, consumers: Iterable[str]) -> None:
        """Deliveries for these are the engine's own: whoever owns a partition of what they are about has them."""
        self._beside, self._arriving = tuple(consumers), None

    # ------------------------------------------------------------------ asked often

    def leaves(self, delivery: Delivery, *, own: bool = True) -> bool:
        """Whether a delivery is not put into a lane here: it is another's, or is read in its turn.

        `own`: this worker has just written it; else another one has, at any time.
        """
        live = self.live.get(delivery.consumer)
        if live is not None and delivery.partition in live:
            return False
        consumer = self._target(delivery)
        if delivery.partition in self.live.get(consumer, ()):
            return False
        taken = self.taking.get(consumer, {}).get(delivery.partition)
        return taken is None or taken.leaves(delivery, own=own)

    def is_elsewhere(self, consumer: str, lane_key: str) -> bool:
        """Whether nothing may be handled here in this lane, which has a key, at once."""
        own = self.live.get(consumer)
        return own is None or partition(lane_key) not in own

    def is_at_home(self, consumer: str, lane_key: str) -> bool:
        """Whether a lane that has a key is this worker's, and live."""
        return not self.is_elsewhere(consumer, lane_key)

    def has(self, delivery: Delivery) -> bool:
        """Whether nobody else has to be told of a delivery."""
        own = self.live.get(delivery.consumer)
        if own is not None and delivery.partition in own:
            return True
        consumer = self._target(delivery)
        return delivery.partition in self.live.get(consumer, ()) or delivery.partition in self.taking.get(consumer, ())

    def here(self, consumer: str, partition: int) -> bool:
        """Whether a partition is live here."""
        return partition in self.live.get(consumer, ())

    def is_held(self, consumer: str, partition: int) -> bool:
        """Whether a partition is live here, or being taken over."""
        return self.here(consumer, partition) or partition in self.taking.get(consumer, ())

    def is_leased(self, home: Home) -> bool:
        """Whether a partition is this worker's: live, being taken over, or being handed over."""
        consumer, number = home
        return self.is_held(consumer, number) or self.is_leaving(home)

    def home_of(self, lane: Lane) -> Home:
        """Where a lane belongs."""
        if lane.queue:
            return self.home_of_delivery(lane.queue[0])
        return lane.home or (lane.key.partition("/")[0], partition(lane.key))

    def home_of_delivery(self, delivery: Delivery) -> Home:
        """Where a delivery belongs."""
        return self._target(delivery), partition_of(delivery)

    # ------------------------------------------------------------------ what changes

    def take(self, claimed: Iterable[Home], by: TakenOver) -> None:
        """These are claimed, and being taken over."""
        self._arriving = None
        for consumer, number in claimed:
            self.taking.setdefault(consumer, {})[number] = by

    def taken(self, consumer: str, number: int) -> None:
        """This is taken over: it is live."""
        self._arriving = None
        if self.taking.get(consumer, {}).pop(number, None) is not None:
            self.live.setdefault(consumer, set()).add(number)

    def read_anew(self, consumer: str) -> None:
        """What is live of a consumer is about to be taken over once more, from this worker itself."""
        self.live.pop(consumer, None)

    def hand_over(self, given: Owned) -> None:
        """Nothing new begins in these."""
        self._arriving = None
        for consumer, numbers in given.items():
            for number in numbers:
                self.live.get(consumer, set[int]()).discard(number)
                self.taking.get(consumer, {}).pop(number, None)
                self.leaving.setdefault(consumer, set()).add(number)

    def gave(self, consumer: str, number: int) -> None:
        """This is another's."""
        self.leaving.get(consumer, set[int]()).discard(number)

    # ------------------------------------------------------------------ asked seldom

    def unread(self, given: Owned) -> set[Home]:
        """Those of these in which somebody has crashed, and of which nobody has read all since."""
        homes = {(consumer, number) for consumer, numbers in given.items() for number in numbers}
        taken = ((home, self.taking.get(home[0], {}).get(home[1])) for home in homes)
        return {home for home, takeover in taken if takeover is not None and home in takeover.suspect}

    def held(self) -> dict[str, set[int]]:
        """All that is leased to this worker and not being handed over."""
        return _joined(self.live, self.taking)

    def all(self) -> dict[str, set[int]]:
        """All that is leased to this worker."""
        return _joined(self.live, self.taking, self.leaving)

    def arriving(self) -> Owned:
        """Where what others write is for this worker: the very same as long as that has not changed."""
        if self._arriving is None:
            self._arriving = self.with_own(self.held())
        return self._arriving

    def with_own(self, held: dict[str, set[int]]) -> dict[str, set[int]]:
        """With what the engine itself has to be told about these."""
        numbers = set[int]().union(*held.values()) if held else set[int]()
        return held | dict.fromkeys(self._beside, numbers) if numbers else held

    def is_leaving(self, home: Home) -> bool:
        """Whether a partition is being handed over."""
        return home[1] in self.leaving.get(home[0], ())


def _joined(*parts: Mapping[str, Iterable[int]]) -> dict[str, set[int]]:
    joined: dict[str, set[int]] = {}
    for part in parts:
        for consumer, numbers in part.items():
            if numbers:
                joined.setdefault(consumer, set()).update(numbers)
    return joined


def without(held: Owned, taken: Owned) -> dict[str, set[int]]:
    """What is in the first and not in the second."""
    left = {consumer: set(numbers).difference(taken.get(consumer, ())) for consumer, numbers in held.items()}
    return {consumer: numbers for consumer, numbers in left.items() if numbers}
