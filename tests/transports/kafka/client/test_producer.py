"""The producer against a broker, and what becomes of records while there is none."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition
from tests.servers.kafka import Broker, broker
from tests.servers.ports import free_port
from tests.transports.kafka.doors import until

from sagakit.errors import PayloadTooLarge
from sagakit.transports.kafka.client.producer import PULSE, KafkaProducer, KafkaUnavailable, _limit
from sagakit.transports.kafka.form.wire import Record
from sagakit.transports.kafka.settings import KafkaSettings


def record(topic: str, value: str, key: str | None = "k") -> Record:
    return Record(topic, None if key is None else key.encode(), value.encode(), [("h", b"v")])


@asynccontextmanager
async def producing(url: str) -> AsyncIterator[KafkaProducer]:
    producer = KafkaProducer(KafkaSettings.from_url(url))
    try:
        yield producer
    finally:
        await producer.close()


def written(url: str, topic: str, count: int) -> list[tuple[bytes | None, bytes]]:
    """The records of a topic, in the order of its partitions."""
    client = KafkaSettings.from_url(url).client()
    consumer = Consumer({**client, "group.id": f"look-{topic}", "auto.offset.reset": "earliest", "log_level": 0})
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    found: list[tuple[bytes | None, bytes]] = []
    until = time.monotonic() + 20
    while len(found) < count:
        assert time.monotonic() < until, found
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            found.append((message.key(), message.value() or b""))
    consumer.close()
    return found


async def test_many_are_in_flight_and_one_key_keeps_its_order(kafka_url: str, topic: str) -> None:
    async with producing(kafka_url) as producer:
        await producer.write(record(topic, "first"))
        await asyncio.gather(*(producer.write(record(topic, str(number), f"k{number % 7}")) for number in range(700)))
        assert producer.ready() is None
    found = await asyncio.to_thread(written, kafka_url, topic, 701)
    for key in range(7):
        assert [int(value) for of, value in found if of == f"k{key}".encode()] == list(range(key, 700, 7))


async def test_too_large_is_said_at_once(kafka_url: str, topic: str) -> None:
    async with producing(kafka_url) as producer:
        with pytest.raises(PayloadTooLarge):
            await producer.write(record(topic, "x" * 2_000_000))


async def test_a_broker_that_is_away_is_said_and_it_goes_on_when_it_is_back(
    own_broker: Broker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sagakit.transports.kafka.client.producer.DELIVERED_WITHIN", 1_000)
    monkeypatch.setattr("sagakit.transports.kafka.client.producer.DOUBTED_AFTER", 0.1)
    async with producing(own_broker.url) as producer:
        await producer.write(record(topic, "before"))
        own_broker.kill()
        with pytest.raises(KafkaUnavailable, match=f"kafka://127.0.0.1:{own_broker.port}"):
            await producer.write(record(topic, "lost"))
        async with asyncio.timeout(20):
            while "127.0.0.1" not in (producer.ready() or ""):
                await asyncio.sleep(0.01)
        one, *others = [asyncio.ensure_future(producer.write(record(topic, "lost"))) for _ in range(50)]
        with pytest.raises(KafkaUnavailable):
            await one
        assert all(
            isinstance(error, KafkaUnavailable) for error in await asyncio.gather(*others, return_exceptions=True)
        )
        began = time.monotonic()
        trying = asyncio.ensure_future(producer.write(record(topic, "lost")))
        await asyncio.sleep(0)
        with pytest.raises(KafkaUnavailable):
            await producer.write(record(topic, "lost"))
        assert time.monotonic() - began < 1, "while one tries, the others do not wait for a dead broker"
        own_broker.start()
        await asyncio.gather(trying, return_exceptions=True)
        while True:
            try:
                await producer.write(record(topic, "after"))
            except KafkaUnavailable:
                await asyncio.sleep(0.05)
            else:
                break
        assert producer.ready() is None
    found = await asyncio.to_thread(written, own_broker.url, topic, 1)
    assert (b"k", b"after") in found


async def test_a_broker_that_hangs_loses_nothing(own_broker: Broker, topic: str) -> None:
    async with producing(own_broker.url) as producer:
        await producer.write(record(topic, "0"))
        own_broker.pause()
        writing = [asyncio.ensure_future(producer.write(record(topic, str(number)))) for number in range(1, 20)]
        done, _ = await asyncio.wait(writing, timeout=0.5)
        assert not done
        own_broker.resume()
        await asyncio.gather(*writing)
    found = await asyncio.to_thread(written, own_broker.url, topic, 20)
    assert [value for _, value in found] == [str(number).encode() for number in range(20)]


async def test_a_broker_that_forgot_the_producer_gets_a_new_one(
    own_broker: Broker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sagakit.transports.kafka.client.producer.DELIVERED_WITHIN", 1_500)
    # were it seen to be away, a new producer would take its place before a record fails
    monkeypatch.setattr(KafkaProducer, "_went_down", lambda self, text, precise: None)
    async with producing(own_broker.url) as producer:
        await producer.write(record(topic, "1"))
        await producer.write(record(topic, "2"))
        old = producer._current
        own_broker.kill()
        own_broker.start()
        while True:
            try:
                await producer.write(record(topic, "3"))
            except KafkaUnavailable:
                await asyncio.sleep(0.05)
            else:
                break
        new = producer._current
        assert new != old
        late = asyncio.get_running_loop().create_future()
        producer._settle([(late, old[1], KafkaError(KafkaError.UNKNOWN_PRODUCER_ID))])
        with pytest.raises(KafkaUnavailable):
            await late
        await asyncio.sleep(2 * PULSE)
        assert producer._current == new, "what the old one reports is not held against the new one"
        late = asyncio.get_running_loop().create_future()
        producer._settle([(late, new[1], KafkaError(KafkaError.UNKNOWN_PRODUCER_ID))])
        await until(lambda: producer._current != new)


async def test_nothing_fails_at_a_broker_that_was_away_while_nothing_was_written(
    own_broker: Broker, topic: str
) -> None:
    async with producing(own_broker.url) as producer:
        await producer.write(record(topic, "1"))
        await producer.write(record(topic, "2"))
        own_broker.kill()
        await until(lambda: producer.ready() is not None)
        own_broker.start()  # it has forgotten everything
        await until(lambda: producer.ready() is None)
        await producer.write(record(topic, "3"))


async def test_who_is_told_nothing_tries_again(own_broker: Broker, topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sagakit.transports.kafka.client.producer._limit", lambda settings: 0.1)
    async with producing(own_broker.url) as producer:
        own_broker.pause()
        with pytest.raises(KafkaUnavailable, match="reports nothing"):
            await producer.write(record(topic, "1"))
        own_broker.resume()
        monkeypatch.setattr(producer, "_limit", 30)
        while True:
            try:
                await producer.write(record(topic, "1"))
            except KafkaUnavailable:  # in the producer that is being replaced
                continue
            break


@pytest.mark.parametrize(
    ("options", "limit"),
    [("", 15), ("?message.timeout.ms=60000", 65), ("?delivery.timeout.ms=2500", 7.5), ("?message.timeout.ms=0", None)],
)
def test_a_report_is_awaited_as_long_as_the_driver_may_take(options: str, limit: float | None) -> None:
    assert _limit(KafkaSettings.from_url(f"kafka://host{options}")) == limit


async def test_what_is_in_flight_at_the_end_is_told(own_broker: Broker, topic: str) -> None:
    async with producing(own_broker.url) as producer:
        await producer.write(record(topic, "1"))
        own_broker.pause()
        writing = asyncio.ensure_future(producer.write(record(topic, "2")))
        await asyncio.sleep(0)
        await producer.close(within=0.1)
        with pytest.raises(KafkaUnavailable):
            await writing
        own_broker.resume()


@pytest.mark.long
async def test_who_is_not_let_in_is_told_why_and_no_secret_with_it(
    tmp_path: Path, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sagakit.transports.kafka.client.producer.DELIVERED_WITHIN", 1_000)
    with broker(tmp_path, "--authentication") as one:
        url = one.url.replace("kafka://", "kafka://ann:sesame@") + "&sasl=SCRAM-SHA-256"
        async with producing(url) as producer:
            async with asyncio.timeout(60):
                while "SASL" not in (producer.ready() or ""):
                    with pytest.raises(KafkaUnavailable):
                        await producer.write(record(topic, "x"))
            with pytest.raises(KafkaUnavailable, match="SASL") as raised:
                await producer.write(record(topic, "x"))
            one.kill()
            with pytest.raises(KafkaUnavailable, match="SASL"):  # that it cannot be reached is no news then
                await producer.write(record(topic, "x"))
    assert "sesame" not in f"{raised.value} {producer.ready()}"


async def test_why_no_broker_can_be_reached_is_told(topic: str) -> None:
    async with producing(f"kafka://127.0.0.1:{free_port()}") as producer:
        writing = asyncio.ensure_future(producer.write(record(topic, "1")))
        await until(lambda: "refused" in (producer.ready() or ""))
        assert "no broker can be reached (" in (producer.ready() or "")
        await producer.close(within=0)
        with pytest.raises(KafkaUnavailable):
            await writing
