"""The producer against a broker, and what becomes of records while there is none."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from tests.servers.kafka import Broker, broker
from tests.servers.ports import free_port
from tests.transports.kafka.doors import until

from sagakit.errors import PayloadTooLarge
from sagakit.transports.kafka.client.producer import PULSE, KafkaProducer, KafkaUnavailable, _limit
from sagakit.transports.kafka.form.wire import Record
from sagakit.transports.kafka.settings import KafkaSettings, KafkaUnusable


def record(topic: str, value: str, key: str | None = "k") -> Record:
    return Record(topic, None if key is None else key.encode(), value.encode(), [("h", b"v")])


@asynccontextmanager
async def producing(url: str) -> AsyncIterator[KafkaProducer]:
    producer = KafkaProducer(KafkaSettings.from_url(url))
    try:
        yield producer
    finally:
        await producer.close()


async def insist(producer: KafkaProducer, record: Record) -> None:
    """Write it, however slow a busy machine's broker is at first, or while a producer is replaced."""
    while True:
        try:
            await producer.write(record)
        except KafkaUnavailable:
            await asyncio.sleep(0.01)
        else:
            return


def written(url: str, topic: str, count: int, last: str = "") -> list[tuple[bytes | None, bytes]]:
    """The records of a topic, in the order of its partitions: so many at least, and this one among them."""
    client = KafkaSettings.from_url(url).client()
    consumer = Consumer({**client, "group.id": f"look-{topic}", "auto.offset.reset": "earliest", "log_level": 0})
    partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    found: list[tuple[bytes | None, bytes]] = []
    until = time.monotonic() + 60
    while len(found) < count or (last and last.encode() not in {value for _, value in found}):
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
    monkeypatch.setattr("sagakit.transports.kafka.client.producer.DOUBTED_AFTER", 0.0)
    async with producing(own_broker.url) as producer:
        await insist(producer, record(topic, "before"))
        own_broker.kill()
        with pytest.raises(KafkaUnavailable, match=f"kafka://127.0.0.1:{own_broker.port}"):
            await producer.write(record(topic, "lost"))
        await until(lambda: "127.0.0.1" in (producer.ready() or ""))
        one, *others = [asyncio.ensure_future(producer.write(record(topic, "lost"))) for _ in range(50)]
        with pytest.raises(KafkaUnavailable):
            await one
        assert all(
            isinstance(error, KafkaUnavailable) for error in await asyncio.gather(*others, return_exceptions=True)
        )
        trying = asyncio.ensure_future(producer.write(record(topic, "lost")))
        await asyncio.sleep(0)
        with pytest.raises(KafkaUnavailable):
            await producer.write(record(topic, "lost"))
        assert not trying.done(), "while one tries, the others do not wait for a dead broker"
        own_broker.start()
        await asyncio.gather(trying, return_exceptions=True)
        await insist(producer, record(topic, "after"))
        assert producer.ready() is None
    # the last of those that failed may have been written all the same, before it
    found = await asyncio.to_thread(written, own_broker.url, topic, 1, last="after")
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
        await insist(producer, record(topic, "1"))
        await insist(producer, record(topic, "2"))
        old = producer._current
        own_broker.kill()
        own_broker.start()
        await insist(producer, record(topic, "3"))
        new = producer._current
        assert new != old
        late = asyncio.get_running_loop().create_future()
        producer._settle([(late, old[1], KafkaError(KafkaError.UNKNOWN_PRODUCER_ID), topic)])
        with pytest.raises(KafkaUnavailable):
            await late
        await asyncio.sleep(2 * PULSE)
        assert producer._current == new, "what the old one reports is not held against the new one"
        late = asyncio.get_running_loop().create_future()
        producer._settle([(late, new[1], KafkaError(KafkaError.UNKNOWN_PRODUCER_ID), topic)])
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


async def test_one_that_cannot_be_made_anew_says_so_and_is_made_once_it_can_be(
    kafka_url: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it is made with is gone for a while: a file of CAs that is being exchanged."""
    gone, made = threading.Event(), KafkaProducer._make

    def make(self: KafkaProducer) -> Any:
        if gone.is_set():
            raise KafkaUnusable("kafka://h: ssl.ca.location failed")
        return made(self)

    monkeypatch.setattr(KafkaProducer, "_make", make)
    async with producing(kafka_url) as producer:
        await producer.write(record(topic, "1"))
        old = producer._current
        gone.set()
        late = asyncio.get_running_loop().create_future()
        producer._settle([(late, old[1], KafkaError(KafkaError.UNKNOWN_PRODUCER_ID), topic)])
        await until(lambda: "ssl.ca.location failed" in (producer.ready() or ""))
        assert producer._thread.is_alive()
        assert producer._current == old
        gone.clear()
        await until(lambda: producer._current != old and producer.ready() is None)
        await insist(producer, record(topic, "2"))
        with pytest.raises(KafkaUnavailable):
            await late


async def test_who_is_told_nothing_tries_again(own_broker: Broker, topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sagakit.transports.kafka.client.producer._limit", lambda settings: 0.1)
    async with producing(own_broker.url) as producer:
        own_broker.pause()
        with pytest.raises(KafkaUnavailable, match="reports nothing"):
            await producer.write(record(topic, "1"))
        own_broker.resume()
        monkeypatch.setattr(producer, "_limit", 30)
        await insist(producer, record(topic, "1"))


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


class FakeProducer:
    """Writes at once, but for the topics that may not be written."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.forbidden = {"t": KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "Topic authorization failed")}
        self.known = False
        """Whether the driver itself refuses, as it knows by now what the broker would say."""
        self._reports: SimpleQueue[Callable[[], None]] = SimpleQueue()

    def produce(self, topic: str, *, on_delivery: Callable[[KafkaError | None, None], None], **of: Any) -> None:
        error = self.forbidden.get(topic)
        if error is not None and self.known:
            raise KafkaException(error)
        self._reports.put(lambda: on_delivery(error, None))

    def poll(self, timeout: float) -> None:
        with suppress(Empty):
            self._reports.get(timeout=0.01)()

    def flush(self, timeout: float) -> None: ...


@pytest.mark.parametrize("known", [False, True], ids=["by the broker", "by the driver"])
async def test_who_may_not_write_a_topic_says_so_until_a_record_is_written_there(
    monkeypatch: pytest.MonkeyPatch, *, known: bool
) -> None:
    monkeypatch.setattr("sagakit.transports.kafka.client.producer.Producer", FakeProducer)
    async with producing("kafka://ann:sesame@one:9092") as producer:
        driver: Any = producer._current[0]
        driver.known = known
        await producer.write(record("other", "1"))
        assert producer.ready() is None
        why = "kafka://ann@one:9092: topic t: Topic authorization failed"
        with pytest.raises(KafkaUnavailable, match=why):
            await producer.write(record("t", "1"))
        await producer.write(record("other", "2"))
        assert producer.ready() == why
        driver.forbidden.clear()
        await producer.write(record("t", "2"))
        assert producer.ready() is None


async def test_why_no_broker_can_be_reached_is_told(topic: str) -> None:
    async with producing(f"kafka://127.0.0.1:{free_port()}") as producer:
        writing = asyncio.ensure_future(producer.write(record(topic, "1")))
        await until(lambda: "refused" in (producer.ready() or ""))
        assert "no broker can be reached (" in (producer.ready() or "")
        await producer.close(within=0)
        with pytest.raises(KafkaUnavailable):
            await writing
