"""What a consumer says of itself while nothing is read: on a driver that a test plays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from queue import Empty, SimpleQueue
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, TopicPartition
from tests.transports.kafka.doors import until

from sagakit.transports.kafka.client import poller as module
from sagakit.transports.kafka.client.poller import NOT_YET, Poller
from sagakit.transports.kafka.settings import KafkaSettings


class FakeMessage:
    """A record of the topic, or an error in its place."""

    def __init__(self, error: KafkaError | None = None) -> None:
        self._error = error

    def error(self) -> KafkaError | None:
        return self._error

    def topic(self) -> str:
        return "t"

    def partition(self) -> int:
        return 0

    def timestamp(self) -> tuple[int, int]:
        return 0, 0

    def __getattr__(self, name: str) -> Any:
        return lambda: None


class FakeConsumer:
    """Does in a poll what a test wants next; its broker has the topic."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.failed: Callable[[KafkaError], None] = settings["error_cb"]
        self.next: SimpleQueue[Callable[[], Any]] = SimpleQueue()
        self.looked = 0

    def subscribe(self, topics: list[str], *, on_assign: Any, on_revoke: Any, on_lost: Any) -> None:
        self.assigned, self.revoked = on_assign, on_revoke

    def poll(self, timeout: float) -> Any:
        try:
            return self.next.get(timeout=0.01)()
        except Empty:
            return None

    def consume(self, count: int, timeout: float) -> list[Any]:
        return []

    def store_offsets(self, offsets: Any) -> None: ...

    def commit(self, offsets: Any, *, asynchronous: bool) -> None: ...

    def list_topics(self, timeout: float) -> Any:
        self.looked += 1
        return SimpleNamespace(topics={"t": SimpleNamespace(error=None)})

    def close(self) -> None: ...

    # ------------------------------------------------------------------ what a test wants

    def tells(self, code: int, words: str) -> None:
        """As the driver tells what a broker has answered."""
        self.next.put(lambda: FakeMessage(KafkaError(code, words)))

    def fails(self, code: int, words: str) -> None:
        """As the driver tells of a connection."""
        self.next.put(lambda: self.failed(KafkaError(code, words)))

    def joins(self) -> None:
        """The group has handed out partitions."""
        self.next.put(lambda: self.assigned(self, [TopicPartition("t", 0)]))

    def leaves(self) -> None:
        """They are for another member."""
        self.next.put(lambda: self.revoked(self, [TopicPartition("t", 0)]))

    def reads(self) -> None:
        """A record has come."""
        self.next.put(FakeMessage)


@asynccontextmanager
async def polling(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Poller, FakeConsumer]]:
    made: list[FakeConsumer] = []

    def consumer(settings: dict[str, Any]) -> FakeConsumer:
        made.append(FakeConsumer(settings))
        return made[-1]

    monkeypatch.setattr(module, "Consumer", consumer)
    monkeypatch.setattr(module, "Gap", lambda *_: SimpleNamespace(found=lambda _: False, assigned=lambda: None))

    async def given_up(places: Any, within: float) -> list[Any]:
        return []

    taking: Any = SimpleNamespace(received=0, unfinished=0, assigned=lambda _: None, given_up=given_up)
    taking.taken = lambda records: None
    poller = Poller(KafkaSettings.from_url("kafka://ann:sesame@one:9092"), "g", ["t"], taking)
    running = asyncio.ensure_future(poller.run())
    try:
        await until(lambda: made)
        yield poller, made[0]
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_who_is_not_let_into_the_group_says_so_until_he_is(monkeypatch: pytest.MonkeyPatch) -> None:
    async with polling(monkeypatch) as (poller, consumer):
        assert poller.trouble == NOT_YET
        consumer.tells(KafkaError.GROUP_AUTHORIZATION_FAILED, "JoinGroup failed: Group authorization failed")
        await until(lambda: consumer.looked)  # its topics are there, and it may not read them
        consumer.next.put(lambda: None)
        await until(consumer.next.empty)
        await asyncio.sleep(0)  # what the thread has said before is heard
        assert poller.trouble == "kafka://ann@one:9092: JoinGroup failed: Group authorization failed"
        consumer.joins()
        await until(lambda: poller.trouble == "")


async def test_a_topic_that_is_there_at_last_has_still_to_be_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async with polling(monkeypatch) as (poller, consumer):
        consumer.tells(KafkaError.UNKNOWN_TOPIC_OR_PART, "Subscribed topic not available: t")
        await until(lambda: consumer.looked)
        await until(lambda: poller.trouble == NOT_YET)
        consumer.joins()
        await until(lambda: poller.trouble == "")
        consumer.tells(KafkaError.UNKNOWN_TOPIC_OR_PART, "Subscribed topic not available: t")
        await until(lambda: consumer.looked == 2)
        await until(lambda: poller.trouble == "")


async def test_who_may_not_read_a_topic_says_so_until_a_record_of_it_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    async with polling(monkeypatch) as (poller, consumer):
        consumer.joins()
        await until(lambda: poller.trouble == "")
        consumer.tells(KafkaError.TOPIC_AUTHORIZATION_FAILED, "Fetch from broker 1 failed: Topic authorization failed")
        await until(lambda: consumer.looked)  # it is there, and may be looked at
        await until(lambda: poller.trouble.startswith("kafka://ann@one:9092: topic t: Fetch from broker 1 failed"))
        consumer.leaves()
        await until(lambda: poller.trouble == "")  # another member has it, and is told the same
        consumer.joins()
        await until(lambda: "Topic authorization failed" in poller.trouble)  # the driver does not tell it again
        consumer.reads()
        await until(lambda: poller.trouble == "")


async def test_who_may_not_even_know_of_a_topic_says_so_until_it_is_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async with polling(monkeypatch) as (poller, consumer):
        monkeypatch.setattr(FakeMessage, "partition", lambda self: -1)
        consumer.tells(KafkaError.TOPIC_AUTHORIZATION_FAILED, "Subscribed topic not available: t")
        await until(lambda: consumer.looked)
        await until(lambda: poller.trouble.startswith("kafka://ann@one:9092: topic t: Subscribed topic not available"))
        consumer.joins()
        await until(lambda: poller.trouble == "")


async def test_why_no_broker_can_be_reached_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async with polling(monkeypatch) as (poller, consumer):
        monkeypatch.setattr(consumer, "list_topics", lambda timeout: SimpleNamespace(topics={}))
        consumer.fails(KafkaError._RESOLVE, "one:9092/bootstrap: Failed to resolve 'one:9092', says sesame")
        consumer.fails(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down")
        await until(lambda: "reached" in poller.trouble)
        why = "no broker can be reached (one:9092/bootstrap: Failed to resolve 'one:9092', says ***)"
        assert poller.trouble == f"kafka://ann@one:9092: {why}"
