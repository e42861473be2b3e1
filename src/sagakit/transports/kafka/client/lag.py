"""How far a consumer is behind, from what the driver keeps anyway: no request for it, but where nothing is fetched."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

import msgspec
from msgspec import Struct

from sagakit.transports.kafka.client.driver import OFFSET_END, Consumer, KafkaException, TopicPartition

Place: TypeAlias = tuple[str, int]
"""A topic and the number of a partition."""

INTERVAL = 5.0
"""Seconds from one look to the next: at statistics of the driver, or at the broker while the reading is paused."""
PATIENCE = 1.0
UNKNOWN = -1001


class Reached(NamedTuple):
    """Of one partition: where it ends, and how far it is read. Offsets without records (of transactions) are read."""

    end: int
    read: int


class Lag:
    """Told in the thread of a consumer, and read in any."""

    def __init__(self) -> None:
        self._reached: Mapping[Place, Reached] = {}
        self._ends: dict[Place, int] = {}
        """What the broker has said while the reading was paused."""
        self._next = 0.0

    def of(self, place: Place) -> Reached | None:
        """How far a partition is read; None where that is not known yet."""
        return self._reached.get(place)

    def told(self, statistics: str) -> None:
        """The driver's statistics: called by it, from within a poll."""
        topics = msgspec.json.decode(statistics, type=_Statistics).topics
        reached = {
            (topic, one.partition): Reached(max(one.end, self._ends.get((topic, one.partition), UNKNOWN)), one.read)
            for topic, about in topics.items()
            for one in about.partitions.values()
            if one.fetch_state == "active"
        }
        self._reached = {place: one for place, one in reached.items() if one.end >= 0 and one.read >= 0}

    def ask(self, consumer: Consumer) -> None:
        """While nothing is fetched, the driver does not hear of what is written: ask the broker, from time to time."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + INTERVAL
        wanted = [TopicPartition(one.topic, one.partition, OFFSET_END) for one in consumer.assignment()]
        try:
            found = consumer.offsets_for_times(wanted, timeout=PATIENCE)
        except KafkaException:  # no broker: what was known last is the best there is
            return
        self._ends = {(one.topic, one.partition): one.offset for one in found if one.error is None}

    def resumed(self) -> None:
        """The driver hears for itself again."""
        self._ends, self._next = {}, 0.0

    def forget(self, places: Iterable[Place]) -> None:
        """These are not ours any more."""
        gone = set(places)
        self._reached = {place: one for place, one in self._reached.items() if place not in gone}


class _Partition(Struct):
    """What librdkafka says of a partition (its STATISTICS.md)."""

    partition: int = -1
    fetch_state: str = ""
    fetchq_cnt: int = 0
    next_offset: int = UNKNOWN
    app_offset: int = UNKNOWN
    hi_offset: int = UNKNOWN
    ls_offset: int = UNKNOWN

    @property
    def end(self) -> int:
        """After the last record that may be read: what an open transaction has written may not."""
        return self.ls_offset if self.ls_offset >= 0 else self.hi_offset

    @property
    def read(self) -> int:
        """What is fetched is read when no record waits to be taken."""
        return self.app_offset if self.fetchq_cnt else max(self.next_offset, self.app_offset)


class _Topic(Struct):
    partitions: dict[str, _Partition] = {}


class _Statistics(Struct):
    topics: dict[str, _Topic] = {}
