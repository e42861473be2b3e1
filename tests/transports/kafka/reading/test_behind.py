"""How many records wait, as /metrics says: on a broker."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.telemetry.reading import counted
from tests.transports.kafka.doors import FakeDoors, Shipped, event, module_of, reading, until, write

from sagakit import App, Module
from sagakit.telemetry import Telemetry
from sagakit.transports.kafka import Kafka

OFTEN = "statistics.interval.ms=100"


def told_often(url: str) -> Kafka:
    """The driver tells how it stands more often than by default."""
    return Kafka(f"{url}{'&' if '?' in url else '?'}{OFTEN}")


async def test_what_is_not_durable_is_counted_until_it_is(kafka_url: str, topic: str) -> None:
    doors = FakeDoors()
    async with reading(module_of(told_often(kafka_url), topic, topic), doors) as link:
        await until(lambda: link.behind() == {(topic, topic): 0})
        await asyncio.to_thread(write, kafka_url, topic, *(event(number, f"o-{number}") for number in range(30)))
        await until(lambda: doors.waiting == 30)
        await until(lambda: link.behind() == {(topic, topic): 30})  # read, and not accepted
        doors.open.set()
        await until(lambda: link.behind() == {(topic, topic): 0})
    assert len(doors.taken) == 30
    assert link.behind() == {}


async def test_what_is_left_in_the_topic_is_counted_also_while_nothing_is_read(
    kafka_url: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sagakit.transports.kafka.client.poller.MOST", 5)
    monkeypatch.setattr("sagakit.transports.kafka.client.poller.BATCH", 5)
    monkeypatch.setattr("sagakit.transports.kafka.client.lag.INTERVAL", 0.1)
    doors = FakeDoors()

    def each(numbers: range) -> None:
        for number in numbers:  # a batch each: the broker of the tests counts those
            write(kafka_url, topic, event(number, str(number)))

    async with reading(module_of(told_often(kafka_url), topic, topic), doors) as link:
        await until(lambda: link.behind() == {(topic, topic): 0})
        await asyncio.to_thread(each, range(40))
        await until(lambda: link.behind() == {(topic, topic): 40})
        assert doors.waiting < 40  # the reading is paused: what comes now is not fetched
        await asyncio.to_thread(each, range(40, 60))
        await until(lambda: link.behind() == {(topic, topic): 60})
        doors.open.set()
        await until(lambda: link.behind() == {(topic, topic): 0})
    assert len(doors.taken) == 60


async def test_what_is_given_away_is_counted_by_its_new_worker(kafka_url: str, topic: str) -> None:
    kafka = told_often(kafka_url)
    first, second = FakeDoors(), FakeDoors()
    async with reading(module_of(kafka, topic, topic), first) as one:
        await until(lambda: one.behind() == {(topic, topic): 0})
        await asyncio.to_thread(write, kafka_url, topic, *(event(number, f"o-{number}") for number in range(40)))
        await until(lambda: one.behind() == {(topic, topic): 40})
        async with reading(module_of(kafka, topic, topic), second) as other:

            def shared() -> bool:
                mine, theirs = one.behind().get((topic, topic), 0), other.behind().get((topic, topic), 0)
                return 0 < theirs < 40 and mine + theirs == 40

            await until(shared)
            first.open.set()
            second.open.set()
            await until(lambda: one.behind() == other.behind() == {(topic, topic): 0})


async def test_it_is_at_the_metrics_of_the_engine(kafka_url: str, topic: str) -> None:
    module = Module("stock")
    told_often(kafka_url).consumes(module, topic, Shipped, of="orders", group=f"{topic}-g")
    taken: list[Any] = []

    @module.on
    async def take(shipped: Shipped) -> None:
        taken.append(shipped)

    name = f'sagakit_kafka_lag{{group="{topic}-g",topic="{topic}"}}'
    telemetry = Telemetry()
    async with App("stock", module).engine("memory://", observer=telemetry) as engine:
        await until(lambda: engine.ready() is None)
        write(kafka_url, topic, event(1))
        await until(lambda: taken)
        async with asyncio.timeout(30):
            while (await counted(telemetry)).get(name) != 0:
                await asyncio.sleep(0.01)
    assert name not in await counted(Telemetry())
