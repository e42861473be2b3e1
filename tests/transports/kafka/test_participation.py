"""A service without an engine: each command done once, answered with its outcome, whatever comes twice or too late."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.transports.kafka.doors import until, write
from tests.transports.kafka.services import Charge, Charged, Declined, Noted, Refund, Refunded, World, orders_app
from tests.transports.kafka.test_services import GARBAGE, ended, place, records, running

from sagakit import Refused, TerminalError
from sagakit.participant import Participant
from sagakit.transports import calling
from sagakit.transports.kafka import CloudEvents, Kafka, WireMessage
from sagakit.transports.kafka.reading import tracing


def payments_of(world: World, memory: str) -> Participant:
    payments = Participant("payments", memory=memory)
    broken = {"o-broken"}

    @payments.handles
    async def charge(command: Charge) -> Charged | Declined | list[Charged | Noted]:
        if command.total == 13:
            raise TerminalError("the till is broken")
        if command.total == 14:
            raise Refused("no cards today")
        if command.order_id in broken:
            broken.discard(command.order_id)
            raise OSError("the network hiccups")
        if command.total > 500:
            return Declined(command.order_id, "too much")
        world.done.append(f"charge {command.order_id}")
        charged = Charged(command.order_id)
        return [charged, Noted(command.order_id)] if command.total == 2 else charged

    @payments.handles
    async def refund(command: Refund) -> Refunded:
        world.done.append(f"refund {command.order_id}")
        return Refunded(command.order_id)

    return payments


@asynccontextmanager
async def serving(kafka: Kafka, run: str, participant: Participant) -> AsyncIterator[None]:
    async with participant:
        working = asyncio.ensure_future(kafka.participant(participant, f"{run}.payments").run())
        try:
            yield
        finally:
            working.cancel()
            with suppress(asyncio.CancelledError):
                await working


async def test_it_does_the_work_of_a_process_that_it_knows_nothing_of(kafka_url: str, topic: str) -> None:
    kafka, world = Kafka(kafka_url), World()
    ends = {"o-1": 50, "o-2": 2, "o-broken": 60, "o-much": 501, "o-13": 13, "o-14": 14}
    async with (
        running(orders_app(kafka, topic), world) as orders,
        serving(kafka, topic, payments_of(world, "memory://")),
    ):
        for order, total in ends.items():
            await place(orders, order, total)
        found = {order: await ended(orders, order) for order in ends}
    assert [order for order, end in found.items() if end == "completed"] == ["o-1", "o-2", "o-broken"]
    assert {one for one in world.done if "13" in one or "14" in one or "much" in one} == {"refund o-13"}


async def test_what_comes_again_after_a_restart_is_answered_again_and_not_done(
    kafka_url: str, topic: str, tmp_path: Path
) -> None:
    kafka, world, memory = Kafka(kafka_url), World(), f"sqlite:///{tmp_path / 'memory.db'}"
    command = WireMessage(
        id="c-1",
        type="payments.Charge",
        payload=b'{"order_id": "o-1", "total": 5}',
        source="/orders",
        key="o-1",
        correlation_id="story",
        reply_to=f"{topic}.answers",
    )
    record = CloudEvents().write("", command)
    for number in (1, 2):
        await asyncio.to_thread(write, kafka_url, f"{topic}.payments", record)
        async with serving(kafka, topic, payments_of(world, memory)):
            found = await asyncio.to_thread(records, kafka_url, f"{topic}.answers", number)
    answers = [CloudEvents().read(one) for one in found]
    assert world.done == ["charge o-1"]
    assert [one.id for one in answers] == [answers[0].id] * 2
    assert {(one.type, one.causation_id, one.correlation_id, one.outcome, one.key) for one in answers} == {
        ("payments.Charged", "c-1", "story", "declared", "o-1")
    }


async def test_an_undo_that_comes_first_keeps_its_do_out(kafka_url: str, topic: str) -> None:
    kafka, world = Kafka(kafka_url), World()
    payload, answers = b'{"order_id": "o-1", "total": 5}', f"{topic}.answers"
    undo = WireMessage(
        id="u", type="payments.Refund", payload=payload, source="/o", undoes="d", key="k", reply_to=answers
    )
    do = WireMessage(id="d", type="payments.Charge", payload=payload, source="/o", key="k", reply_to=answers)
    await asyncio.to_thread(
        write, kafka_url, f"{topic}.payments", *(CloudEvents().write("", one) for one in (undo, do))
    )
    async with serving(kafka, topic, payments_of(world, "memory://")):
        found = await asyncio.to_thread(records, kafka_url, answers, 2)
    read = {one.causation_id: one for one in map(CloudEvents().read, found)}
    assert world.done == []
    assert read["u"].outcome == "declared"
    assert read["d"].outcome == "failed"
    assert b'"known_not_done":true' in read["d"].payload


async def test_what_it_cannot_read_goes_to_the_dead_letters(kafka_url: str, topic: str) -> None:
    kafka, world = Kafka(kafka_url), World()
    good = WireMessage(id="c", type="payments.Charge", payload=b'{"order_id": "o-1", "total": 5}', source="/o", key="k")
    await asyncio.to_thread(write, kafka_url, f"{topic}.payments", GARBAGE, CloudEvents().write("", good))
    async with serving(kafka, topic, payments_of(world, "memory://")):
        await until(lambda: world.done == ["charge o-1"])
    (dead,) = await asyncio.to_thread(records, kafka_url, f"{topic}.payments.dead", 1)
    assert dead.value == b"garbage"


TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


async def test_its_answer_is_below_the_command_in_the_trace(
    kafka_url: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "get_tracer_provider", lambda: provider)
    monkeypatch.setattr(calling, "_tracer", provider.get_tracer("test"))
    command = WireMessage(
        id="c-1",
        type="payments.Charge",
        payload=b'{"order_id": "o-1", "total": 5}',
        source="/orders",
        reply_to=f"{topic}.answers",
        trace=f"00-{TRACE_ID}-b7ad6b7169203331-01",
    )
    await asyncio.to_thread(write, kafka_url, f"{topic}.payments", CloudEvents().write("", command))
    async with serving(Kafka(kafka_url), topic, payments_of(World(), "memory://")):
        (found,) = await asyncio.to_thread(records, kafka_url, f"{topic}.answers", 1)
        await until(lambda: len(exporter.get_finished_spans()) == 2)
    sent, taken = exporter.get_finished_spans()
    assert (sent.name, sent.kind.name) == (f"send {topic}.answers", "PRODUCER")
    assert (taken.name, taken.kind.name) == (f"process {topic}.payments", "CONSUMER")
    assert sent.context is not None
    assert sent.parent == taken.context
    assert CloudEvents().read(found).trace == f"00-{TRACE_ID}-{sent.context.span_id:016x}-01"
