"""A topic that was away while its partitions were handed out: somebody has to notice that nobody reads it."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from itertools import count, pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import Consumer, ConsumerGroupState, KafkaError, KafkaException, Message
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from tests.transports.kafka.doors import FakeDoors, event, module_of, reading, until, write

from sagakit.transports.kafka import Kafka
from sagakit.transports.kafka.client import gap as gap_module
from sagakit.transports.kafka.client.gap import INTERVAL, LONGEST, Gap
from sagakit.transports.kafka.reading.consumer import Reading
from sagakit.transports.kafka.settings import KafkaSettings

PARTITIONS = 4


def admin(url: str) -> AdminClient:
    return AdminClient({**KafkaSettings.from_url(url).client(), "log_level": 0})


def make(url: str, topic: str) -> None:
    client = admin(url)  # what it does ends with it
    client.create_topics([NewTopic(topic, num_partitions=PARTITIONS)])[topic].result(30)


def unmake(url: str, topic: str) -> None:
    client = admin(url)
    client.delete_topics([topic])[topic].result(30)


class Seen(Consumer):
    """A consumer of which is known when it joins its group."""

    joining = False

    def poll(self, timeout: float = -1) -> Message | None:  # type: ignore[override]
        message = super().poll(timeout)
        Seen.joining = Seen.joining or bool(self.memberid())
        return message


@pytest.mark.timeout(180)
async def test_a_topic_that_was_away_while_partitions_were_handed_out_is_read(
    kafka_url: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed_out: list[int] = []
    assigned = Reading.assigned

    def noted(self: Reading, places: Sequence[tuple[str, int]]) -> None:
        handed_out.append(len(places))
        assigned(self, places)

    monkeypatch.setattr(Reading, "assigned", noted)
    monkeypatch.setattr("sagakit.transports.kafka.client.poller.Consumer", Seen)
    monkeypatch.setattr(Seen, "joining", False)
    monkeypatch.setattr("sagakit.transports.kafka.client.gap.INTERVAL", 1.0)
    url = f"kafka://{KafkaSettings.from_url(kafka_url).servers}?allow.auto.create.topics=false"
    url += "&session_timeout=10000"  # a new group's partitions are handed out after half of that
    for tried in count():
        one = f"{topic}-{tried}"
        await asyncio.to_thread(make, url, one)
        doors = FakeDoors()
        doors.open.set()
        Seen.joining = False
        handed_out.clear()
        async with reading(module_of(Kafka(url), one, one), doors):
            await until(lambda: Seen.joining)
            await asyncio.to_thread(unmake, url, one)
            await until(lambda: handed_out)
            if handed_out[0]:  # a machine that stalls has unmade it too late
                continue
            await asyncio.to_thread(make, url, one)
            await asyncio.to_thread(write, url, one, event(1))
            await until(lambda: doors.taken)  # noqa: B023 (it is awaited at once)
        assert [taken.number for taken in doors.taken] == [1]
        return


SETTINGS = KafkaSettings.from_url("kafka://nowhere?partitions=2")


class Group:
    """A group and its topics, as a member of it sees them; the clock too."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.ours: list[str] = []
        self.topics = {"a": 2, "b": 2}
        self.state = ConsumerGroupState.STABLE
        self.read: list[tuple[str, int]] | None = []
        self.broker = True
        self.made: list[str] = []
        monkeypatch.setattr(gap_module, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(gap_module, "AdminClient", lambda settings: self)
        monkeypatch.setattr(gap_module, "create_missing", lambda settings, topics: self.made.extend(topics))

    def assignment(self) -> list[Any]:
        return [SimpleNamespace(topic=topic, partition=0) for topic in self.ours]

    def list_topics(self, *, timeout: float) -> Any:
        if not self.broker:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        about = {
            topic: SimpleNamespace(error=None, partitions=dict.fromkeys(range(count)))
            for topic, count in self.topics.items()
        }
        return SimpleNamespace(topics=about)

    def describe_consumer_groups(self, groups: list[str], *, request_timeout: float) -> Mapping[str, Future[Any]]:
        answer: Future[Any] = Future()
        if self.read is None:
            answer.set_exception(KafkaException(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)))
        else:
            places = [SimpleNamespace(topic=topic, partition=number) for topic, number in self.read]
            member = SimpleNamespace(assignment=SimpleNamespace(topic_partitions=places))
            answer.set_result(SimpleNamespace(state=self.state, members=[member]))
        return {groups[0]: answer}

    def found(self, gap: Gap, seconds: int) -> list[float]:
        """When the group is joined anew, in seconds from now."""
        began, found = self.now, list[float]()
        for _ in range(seconds):
            self.now += 1
            if gap.found(self):  # type: ignore[arg-type]
                found.append(self.now - began)
                gap.assigned()  # as little as before
        return found


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Group:
    return Group(monkeypatch)


def joined(group: Group) -> Gap:
    gap = Gap(SETTINGS, "g", ["a", "b"])
    gap.assigned()
    return gap


def test_who_reads_of_every_topic_has_no_gap(group: Group) -> None:
    group.ours = ["a", "b"]
    assert group.found(joined(group), 100) == []
    group.ours = ["b"]
    assert group.found(joined(group), 5) == [INTERVAL]


def test_who_has_nothing_because_others_have_everything_stays(group: Group) -> None:
    group.read = [(topic, number) for topic in "ab" for number in range(2)]
    assert group.found(joined(group), 300) == []
    group.read.remove(("b", 1))
    assert group.found(joined(group), 5) == [INTERVAL]


def test_while_partitions_are_handed_out_nobody_joins_anew(group: Group) -> None:
    group.state = ConsumerGroupState.PREPARING_REBALANCING
    gap = joined(group)
    assert group.found(gap, 30) == []
    group.state = ConsumerGroupState.STABLE
    gap.assigned()
    assert group.found(gap, 5) == [INTERVAL]


def test_a_coordinator_that_does_not_say_is_not_needed(group: Group) -> None:
    group.read = None
    assert group.found(joined(group), 5) == [INTERVAL]


def test_what_does_not_help_is_done_less_and_less_often(group: Group) -> None:
    found = group.found(joined(group), 600)
    waits = [later - earlier for earlier, later in pairwise(found)]
    assert waits == sorted(waits)
    assert LONGEST <= waits[-1] <= LONGEST * 2


def test_a_topic_that_is_not_there_is_made_and_nobody_joins_for_it(group: Group) -> None:
    group.topics = {"a": 2}
    group.ours = ["a"]
    assert group.found(joined(group), 10) == []
    assert set(group.made) == {"b"}


def test_without_a_broker_nothing_is_found_until_it_is_back(group: Group) -> None:
    group.broker = False
    gap = joined(group)
    assert group.found(gap, 100) == []
    group.broker = True
    assert len(group.found(gap, int(INTERVAL) + 1)) == 1


def test_who_has_not_joined_yet_does_not_join_anew(group: Group) -> None:
    assert group.found(Gap(SETTINGS, "g", ["a", "b"]), 100) == []
