"""Doors that a test opens and closes, and a consumer in front of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from sagakit import Module, Receipt
from sagakit.ports import Origin
from sagakit.transports.kafka import CloudEvents, Kafka, KafkaSettings, Record, WireMessage


@dataclass(frozen=True)
class Shipped:
    order: str
    number: int = 0


@dataclass
class FakeDoors:
    """Remembers what comes in."""

    taken: list[Any] = field(default_factory=list[Any])
    origins: list[Origin] = field(default_factory=list[Origin])
    parked: list[Any] = field(default_factory=list[Any])
    open: asyncio.Event = field(default_factory=asyncio.Event)
    fail: Callable[[Any], Exception | None] = lambda message: None
    waiting: int = 0

    async def publish(self, event: Any, *, origin: Origin, trace: str | None = None) -> Receipt:
        self.waiting += 1
        try:
            await self.open.wait()
        finally:  # whoever gives its partition up cancels it
            self.waiting -= 1
        if error := self.fail(event):
            raise error
        self.taken.append(event)
        self.origins.append(origin)
        return Receipt(origin.message_id, origin.correlation_id)

    async def send(self, command: Any, *, idempotency_key: str, digest: str) -> Receipt:
        self.parked.append(command)
        return Receipt("", "")


def module_of(kafka: Kafka, topic: str, group: str) -> Module:
    """A module that takes events from a topic."""
    module = Module("stock")
    kafka.consumes(module, topic, Shipped, of="orders", group=group)
    return module


@asynccontextmanager
async def reading(module: Module, doors: FakeDoors) -> AsyncIterator[Any]:
    """Its consumer, while the block runs."""
    (link,) = [link for link in module.declared.links if "from" not in link.name]
    running = asyncio.ensure_future(link.run(doors))  # type: ignore[arg-type]
    try:
        yield link
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def patient(url: str) -> str:
    """Where a member of a group may be silent for longer: a machine that stalls loses it no partitions."""
    return url.replace("session_timeout=2000", "session_timeout=10000")


async def until(done: Callable[[], object], within: float = 60) -> None:
    """Wait for a condition that a broker brings about."""
    async with asyncio.timeout(within):
        while not done():
            await asyncio.sleep(0.01)


def event(number: int, order: str = "o", id: str | None = None) -> Record:
    """A record as another service writes it."""
    payload = b'{"order":"%s","number":%d}' % (order.encode(), number)
    message = WireMessage(id=id or f"id-{number}", type="orders.Shipped", payload=payload, source="/orders", key=order)
    return CloudEvents().write("", message)


def write(url: str, topic: str, *records: Record) -> None:
    """Write records as they are."""
    producer = Producer({**KafkaSettings.from_url(url).client(), "log_level": 0})
    for one in records:
        producer.produce(topic, one.value, one.key, headers=list(one.headers))
    assert producer.flush(60) == 0


async def until_committed(url: str, topic: str, group: str, count: int) -> None:
    """Wait until a group is done with so many records: a link that ends may still commit the last of them."""
    async with asyncio.timeout(60):
        while (found := await asyncio.to_thread(committed, url, topic, group)) != count:
            assert found < count


def committed(url: str, topic: str, group: str) -> int:
    """How many records of a topic a group is done with."""
    consumer = Consumer({**KafkaSettings.from_url(url).client(), "group.id": group, "log_level": 0})
    try:
        numbers = consumer.list_topics(topic, timeout=30).topics[topic].partitions
        found = consumer.committed([TopicPartition(topic, number) for number in numbers], timeout=30)
        return sum(max(one.offset, 0) for one in found)
    finally:
        consumer.close()
