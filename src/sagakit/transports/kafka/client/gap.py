"""Topics of a group that nobody reads, although they are there."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from sagakit.transports.kafka.client.driver import AdminClient, Consumer, ConsumerGroupState, KafkaException
from sagakit.transports.kafka.client.topics import create_missing
from sagakit.transports.kafka.settings import KafkaSettings

INTERVAL = 4.0
"""Seconds until what was handed out is looked at: longer than partitions take that go from one worker to another."""
LONGEST = 60.0
PATIENCE = 1.0
"""Seconds that a broker has to answer: records wait meanwhile."""
_UNDER_WAY = frozenset({ConsumerGroupState.PREPARING_REBALANCING, ConsumerGroupState.COMPLETING_REBALANCING})


class Gap:
    """What a member of a group looks for from time to time; used in the thread of its consumer.

    The driver's group leader hands out the partitions of the moment, and afterwards compares what a topic has with what
    it had before. A topic that was away only while they were handed out (deleted and made anew; a broker that comes
    back, and learns of its topics bit by bit) is read by nobody then, for ever: only a member that joins anew helps.
    """

    def __init__(self, settings: KafkaSettings, group: str, topics: Sequence[str]) -> None:
        self._settings = settings
        self._group = group
        self._topics = topics
        self._joined = False
        self._interval = self._pause = INTERVAL
        self._next = time.monotonic() + INTERVAL
        self._not_before = 0.0

    def assigned(self) -> None:
        """Partitions, or none, have been handed out: look whether that is all."""
        self._joined = True
        self._interval = INTERVAL
        self._next = time.monotonic() + INTERVAL

    def found(self, consumer: Consumer) -> bool:
        """Whether the group has to be joined anew. Topics that are not there are made, where the settings say so."""
        now = time.monotonic()
        if now < self._next:
            return False
        ours = {one.topic for one in consumer.assignment()}
        lacking = [topic for topic in self._topics if topic not in ours]
        if not lacking:
            self._interval = self._pause = INTERVAL
        else:  # what does not help is done less and less often
            self._interval = min(self._interval * 2, LONGEST)
        found = bool(lacking) and self._unread(consumer, lacking) and self._joined and now >= self._not_before
        if found:
            self._not_before = now + self._pause
            self._pause = min(self._pause * 2, LONGEST)
        self._next = time.monotonic() + self._interval
        return found

    def _unread(self, consumer: Consumer, lacking: Sequence[str]) -> bool:
        try:
            known = consumer.list_topics(timeout=PATIENCE).topics
        except KafkaException:  # no broker: there is nothing to join
            self._interval = INTERVAL
            return False
        there = {topic: known[topic] for topic in lacking if topic in known and known[topic].error is None}
        if len(there) < len(lacking) and self._settings.partitions is not None:
            create_missing(self._settings, [topic for topic in lacking if topic not in there])
        places = {(topic, number) for topic, about in there.items() for number in about.partitions}
        return bool(places) and not places <= self._read(places)

    def _read(self, places: set[tuple[str, int]]) -> set[tuple[str, int]]:
        """What the group's coordinator says. A worker that came when all was given away has nothing, and rightly so."""
        client = AdminClient({**self._settings.client(), "log_level": 0})
        describe: Any = client.describe_consumer_groups  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        asked: Mapping[str, Future[Any]] = describe([self._group], request_timeout=PATIENCE)
        try:
            described = asked[self._group].result()
        except KafkaException:  # it does not say: to join anew does no harm
            return set()
        if described.state in _UNDER_WAY:
            return places
        read = [one for member in described.members for one in member.assignment.topic_partitions]
        return {(one.topic, one.partition) for one in read}
