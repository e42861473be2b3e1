"""Services that speak over a broker: one story, each effect once, whatever is doubled, late or away."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from tests.servers.kafka import Broker
from tests.transports.kafka.doors import until, write
from tests.transports.kafka.services import (
    OrderPlaced,
    PlaceOrder,
    World,
    mailing_app,
    orders_app,
    payments_app,
)

from sagakit import App, Engine
from sagakit.core.queries import DeliveryQuery
from sagakit.core.streams import instance_id
from sagakit.transports.kafka import CloudEvents, Kafka, KafkaSettings, Record, WireMessage
from sagakit.transports.kafka.client import producer
from sagakit.transports.kafka.reading.consumer import KafkaConsumer

MakeApp = Callable[[Kafka, str], App]


@asynccontextmanager
async def running(app: App, world: World, url: str = "memory://") -> AsyncIterator[Engine]:
    async with app.engine(url, provide={World: world}) as engine:
        yield engine


@asynccontextmanager
async def services(kafka: Kafka, run: str, world: World, *apps: MakeApp) -> AsyncIterator[list[Engine]]:
    """These services, each with an engine and a store of its own."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(running(make(kafka, run), world)) for make in apps]


async def place(orders: Engine, key: str, total: int = 50) -> str:
    """Place an order; the story that it begins."""
    receipt = await orders.send(PlaceOrder(key, total))
    await orders.wait(until=OrderPlaced, correlation_id=receipt.correlation_id)
    return receipt.correlation_id


async def ended(engine: Engine, key: str) -> str:
    return (await engine.wait("orders.fulfil", key, timeout=100)).status


def records(url: str, topic: str, count: int) -> list[Record]:
    """The first records of a topic."""
    settings = {**KafkaSettings.from_url(url).client(), "group.id": f"look at {topic}", "log_level": 0}
    consumer = Consumer({**settings, "auto.offset.reset": "earliest"})
    while not (numbers := consumer.list_topics(topic, timeout=30).topics[topic].partitions):
        consumer.poll(0.05)
    consumer.assign([TopicPartition(topic, number, 0) for number in numbers])
    found: list[Record] = []
    for _ in range(600):
        if len(found) >= count:
            break
        message = consumer.poll(0.1)
        if message is not None and message.error() is None:
            headers: Any = message.headers() or []
            found.append(Record(topic, message.key(), message.value(), headers, message.partition() or 0, 0))
    consumer.close()
    return found


async def parked(engine: Engine) -> list[Any]:
    return await engine.store.find_deliveries(DeliveryQuery(state="parked"))


async def test_a_process_goes_on_with_what_a_service_answers(kafka_url: str, topic: str) -> None:
    kafka, world = Kafka(kafka_url), World()
    async with services(kafka, topic, world, orders_app, payments_app, mailing_app) as (orders, payments, _):
        story = await place(orders, "o-1")
        assert await ended(orders, "o-1") == "completed"
        await until(lambda: "mail o-1" in world.done)
        here = {one.type: one for one in await orders.store.read_story(story)}
        there = {one.type: one for one in await payments.store.read_story(story)}
    assert world.done == ["charge o-1", "ship o-1", "mail o-1"]
    command = there["payments.Charge"]
    assert command.id == here["payments.Charge"].id, "one id everywhere: it is the idempotency key"
    assert here["payments.Charged"].causation_id == command.id


@pytest.mark.parametrize(
    ("total", "shipping", "done", "reason"),
    [
        (501, True, [], "too much"),
        (50, False, ["charge o-1", "ship o-1", "refund o-1"], "no van"),
        (13, True, ["refund o-1"], "RuntimeError: the till is broken"),
    ],
    ids=["refused", "undone", "failed"],
)
async def test_what_is_not_done_is_undone(
    kafka_url: str, topic: str, total: int, shipping: bool, done: list[str], reason: str
) -> None:
    world = World(shipping=shipping)
    async with services(Kafka(kafka_url), topic, world, orders_app, payments_app) as (orders, payments):
        await place(orders, "o-1", total)
        assert await ended(orders, "o-1") == "compensated"
        search = await orders.store.read_search(instance_id("orders.fulfil", "o-1"))
        assert search
        assert search.reason == reason
        assert await parked(payments) == []
    assert world.done == done


async def test_an_outcome_of_several_events_stays_one(kafka_url: str, topic: str) -> None:
    world = World()
    async with services(Kafka(kafka_url), topic, world, orders_app, payments_app) as (orders, _):
        story = await place(orders, "o-1", 2)
        assert await ended(orders, "o-1") == "completed"
        types = [one.type for one in await orders.store.read_story(story)]
    assert types[types.index("payments.Charged") + 1] == "payments.Noted"


async def test_whatever_comes_twice_is_done_once(kafka_url: str, topic: str) -> None:
    world = World()
    async with services(Kafka(kafka_url), topic, world, orders_app, payments_app, mailing_app) as (orders, *others):
        for number in range(10):
            await place(orders, f"o-{number}")
        for number in range(10):
            assert await ended(orders, f"o-{number}") == "completed"
        await until(lambda: len(world.done) == 30)
        for name in ("payments", "answers", "orders"):
            again = await asyncio.to_thread(records, kafka_url, f"{topic}.{name}", 10)
            assert len(again) == 10
            await asyncio.to_thread(write, kafka_url, f"{topic}.{name}", *again)
        await place(orders, "last")  # comes behind them
        assert await ended(orders, "last") == "completed"
        await until(lambda: "mail last" in world.done)
        for engine in (orders, *others):
            assert await parked(engine) == []
    assert len(world.done) == 33
    assert len(set(world.done)) == 33


async def test_a_service_that_is_away_delays_and_loses_none(kafka_url: str, topic: str, tmp_path: Path) -> None:
    world, kafka, database = World(), Kafka(kafka_url), str(tmp_path / "payments.db")
    async with running(orders_app(kafka, topic), world) as orders:
        async with running(payments_app(kafka, topic), world, database):
            await place(orders, "o-1")
            assert await ended(orders, "o-1") == "completed"
        for number in range(2, 20):
            await place(orders, f"o-{number}")
        assert await orders.status("orders.fulfil", "o-2") == "running"
        assert world.done == ["charge o-1", "ship o-1"]
        async with running(payments_app(kafka, topic), world, database):
            for number in range(2, 20):
                assert await ended(orders, f"o-{number}") == "completed"
    assert len(world.done) == 38


async def test_while_the_broker_is_away_processes_stay_where_they_are(
    own_broker: Broker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producer, "DELIVERED_WITHIN", 1_000)
    world, kafka = World(), Kafka(own_broker.url)
    async with services(kafka, topic, world, orders_app, payments_app) as (orders, payments):
        await place(orders, "o-1")
        assert await ended(orders, "o-1") == "completed"
        await until(lambda: orders.ready() is None)
        own_broker.kill()
        for number in range(2, 12):
            await place(orders, f"o-{number}")
        await until(lambda: "127.0.0.1" in (orders.ready() or "") and "127.0.0.1" in (payments.ready() or ""))
        async with asyncio.timeout(60):
            while "KafkaUnavailable" not in str(await orders.operator.explain(instance_id("orders.fulfil", "o-2"))):
                await asyncio.sleep(0.01)
        assert await orders.status("orders.fulfil", "o-2") == "running"
        own_broker.start()
        for number in range(2, 12):
            assert await ended(orders, f"o-{number}") == "completed"
        await until(lambda: orders.ready() is None)
    assert sorted(world.done) == sorted(f"{what} o-{number}" for number in range(1, 12) for what in ("charge", "ship"))


async def test_a_broker_that_hangs_in_the_middle_loses_and_doubles_nothing(own_broker: Broker, topic: str) -> None:
    world = World()
    async with services(Kafka(own_broker.url), topic, world, orders_app, payments_app) as (orders, _):
        await place(orders, "o-0")
        assert await ended(orders, "o-0") == "completed"
        placing = [asyncio.ensure_future(place(orders, f"o-{number}")) for number in range(1, 100)]
        await until(lambda: len(world.done) > 10)
        own_broker.pause()
        await asyncio.sleep(3)  # longer than the session of its groups
        own_broker.resume()
        await asyncio.gather(*placing)
        for number in range(1, 100):
            assert await ended(orders, f"o-{number}") == "completed"
    assert len(world.done) == len(set(world.done)) == 200


GARBAGE = Record("", b"k", b"garbage", [("ce_id", b"1")])
EMPTY = Record("", b"k", None, [])


async def test_a_command_that_cannot_be_read_waits_for_an_operator(kafka_url: str, topic: str) -> None:
    world = World()
    bad = WireMessage(id="x", type="payments.Charge", payload=b'{"order_id": 5}', source="/orders")
    unknown = WireMessage(id="y", type="payments.Nonsense", payload=b"{}", source="/orders")
    await asyncio.to_thread(
        write, kafka_url, f"{topic}.payments", GARBAGE, EMPTY, *(CloudEvents().write("", one) for one in (bad, unknown))
    )
    async with services(Kafka(kafka_url), topic, world, orders_app, payments_app) as (orders, payments):
        await place(orders, "o-1")
        assert await ended(orders, "o-1") == "completed"
        async with asyncio.timeout(60):
            while len(found := await parked(payments)) < 4:
                await asyncio.sleep(0.01)
    reasons = " ".join(one.error for one in found)
    assert f"{topic}.payments[" in reasons
    assert "the header ce_specversion is missing" in reasons
    assert "order_id" in reasons
    assert "no command 'payments.Nonsense' is handled here" in reasons
    assert len(re.findall(r"InvalidRecord: \S+ the value is missing", reasons)) == 1
    assert {one.envelope.type for one in found} == {"payments.ReadRecord"}


async def test_a_record_that_is_set_aside_again_is_parked_once_whatever_is_said_of_it(
    kafka_url: str, topic: str
) -> None:
    """Killed before the offset was committed, and started as a version that says something else."""
    kafka, record = Kafka(kafka_url), replace(GARBAGE, topic=f"{topic}.payments", partition=0, offset=7)
    async with services(kafka, topic, World(), payments_app) as (payments,):
        link = next(one for one in payments.topology.links if isinstance(one, KafkaConsumer))
        await link.set_aside(payments, "a group", record, "nobody knows its type")
        await link.set_aside(payments, "a group", record, "its type is too new")
        await link.set_aside(payments, "another group", record, "its type is too new")
        assert len([one for one in await payments.store.read_messages() if one.type == "payments.ReadRecord"]) == 2


async def test_what_was_parked_is_taken_when_it_can_be_read(kafka_url: str, topic: str) -> None:
    world = World()
    good = CloudEvents().write(
        "", WireMessage(id="x", type="payments.Charge", payload=b'{"order_id": "o-9", "total": 1}', source="/orders")
    )
    async with services(Kafka(kafka_url), topic, world, payments_app) as (payments,):
        await until(lambda: payments.ready() is None)
        read = payments.topology.handlers
        cls = next(cls for cls in read if cls.__name__ == "ReadRecord")
        value = base64.b64encode(good.value or b"").decode()
        headers = tuple((name, base64.b64encode(text or b"").decode()) for name, text in good.headers)
        group = f"{topic}.payments"
        await payments.send(cls(f"{topic}.payments", 0, 7, group, "it could not be read", None, headers, value))
        await until(lambda: world.done == ["charge o-9"])
        assert await parked(payments) == []


async def test_dead_letters_have_a_topic_where_one_is_given(kafka_url: str, topic: str) -> None:
    world, kafka = World(), Kafka(kafka_url, dead_letters=f"{topic}.dead")
    await asyncio.to_thread(write, kafka_url, f"{topic}.payments", GARBAGE)
    async with services(kafka, topic, world, orders_app, payments_app) as (orders, payments):
        await place(orders, "o-1")
        assert await ended(orders, "o-1") == "completed"
        await asyncio.to_thread(records, kafka_url, f"{topic}.payments", 1)
        async with asyncio.timeout(60):
            while not (dead := await asyncio.to_thread(records, kafka_url, f"{topic}.dead", 1)):
                pass
        assert await parked(payments) == []
    headers = dict(dead[0].headers)
    assert (dead[0].key, dead[0].value, headers["ce_id"]) == (b"k", b"garbage", b"1")
    assert headers["deadletter_topic"] == f"{topic}.payments".encode()
    assert headers["deadletter_offset"] == b"0"
    assert headers["deadletter_partition"]
    assert headers["deadletter_group"] == f"{topic}.payments".encode()
    assert b"ce_specversion is missing" in (headers["deadletter_reason"] or b"")


async def test_an_answer_that_nobody_awaits_is_set_aside(kafka_url: str, topic: str) -> None:
    stray = WireMessage(
        id="x",
        type="payments.Charged",
        payload=b'{"order_id": "o-1"}',
        source="/payments",
        correlation_id="nobody's",
        causation_id="none",
        outcome="declared",
    )
    world = World()
    await asyncio.to_thread(write, kafka_url, f"{topic}.answers", CloudEvents().write("", stray))
    async with services(Kafka(kafka_url), topic, world, orders_app, payments_app) as (orders, _):
        async with asyncio.timeout(60):
            while not (found := await parked(orders)):
                await asyncio.sleep(0.01)
    assert "there is no command 'none'" in found[0].error
