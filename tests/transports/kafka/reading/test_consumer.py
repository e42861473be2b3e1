"""A consumer in front of doors: what is committed, what is tried again, what is set aside, who reads what."""

import asyncio
import base64

import pytest
from tests.transports.kafka.doors import (
    FakeDoors,
    Shipped,
    committed,
    event,
    module_of,
    patient,
    reading,
    until,
    until_committed,
    write,
)

from sagakit import Busy, StoreFailed, StoreUnusable
from sagakit.transports.kafka import Kafka, Record


async def test_nothing_is_committed_before_the_doors_have_it(kafka_url: str, topic: str) -> None:
    write(kafka_url, topic, *(event(number, f"o-{number}") for number in range(20)))
    doors = FakeDoors()
    module = module_of(Kafka(kafka_url), topic, topic)
    async with reading(module, doors):
        await until(lambda: doors.waiting == 20)
    assert doors.taken == []
    assert await asyncio.to_thread(committed, kafka_url, topic, topic) == 0
    doors.open.set()
    async with reading(module, doors):
        await until(lambda: len(doors.taken) == 20)
    await until_committed(kafka_url, topic, topic, 20)
    assert {one.source for one in doors.origins} == {f"kafka {topic}/{topic} /orders"}
    assert sorted(one.message_id for one in doors.origins) == sorted(f"id-{number}" for number in range(20))


async def test_a_group_goes_on_where_it_was(kafka_url: str, topic: str) -> None:
    doors = FakeDoors()
    doors.open.set()
    module = module_of(Kafka(kafka_url), topic, topic)
    write(kafka_url, topic, event(1))
    async with reading(module, doors):
        await until(lambda: len(doors.taken) == 1)
    write(kafka_url, topic, event(2))
    async with reading(module, doors):
        await until(lambda: len(doors.taken) == 2)
    assert [one.number for one in doors.taken] == [1, 2]


async def test_one_key_stays_in_order_also_where_it_is_tried_again(kafka_url: str, topic: str) -> None:
    doors = FakeDoors()
    doors.open.set()
    failures = {3: [Busy(9, 0.01), StoreFailed("the disk is full")], 7: [Busy(9, 0.01)]}
    doors.fail = lambda message: failures[message.number].pop() if failures.get(message.number) else None
    write(kafka_url, topic, *(event(number, "ab"[number % 2]) for number in range(100)))
    async with reading(module_of(Kafka(kafka_url), topic, topic), doors):
        await until(lambda: len(doors.taken) == 100)
    for key in "ab":
        numbers = [one.number for one in doors.taken if one.order == key]
        assert numbers == sorted(numbers)


async def test_what_is_not_done_is_bounded(kafka_url: str, topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sagakit.transports.kafka.client.poller.MOST", 20)
    monkeypatch.setattr("sagakit.transports.kafka.client.poller.BATCH", 10)
    doors = FakeDoors()
    async with reading(module_of(Kafka(kafka_url), topic, topic), doors) as link:
        await until(lambda: link.ready() is None)
        await asyncio.to_thread(write, kafka_url, topic, *(event(number, str(number)) for number in range(2000)))
        await until(lambda: doors.waiting >= 20)
        await asyncio.sleep(0.5)  # a client that does not hold back has read all of them long ago
        assert doors.waiting < 1000
        doors.open.set()
        await until(lambda: len({one.number for one in doors.taken}) == 2000)


GARBAGE = Record("", b"k", b"\xff\x00", [("ce_specversion", b"1.0"), ("ce_id", b"\xff")])
NOT_FITTING = Record("", b"k", b'{"order": 1}', event(5).headers)


@pytest.mark.parametrize(("record", "why"), [(GARBAGE, "not UTF-8"), (NOT_FITTING, "order")])
async def test_a_record_that_cannot_be_taken_is_parked_and_the_others_go_on(
    kafka_url: str, topic: str, record: Record, why: str
) -> None:
    doors = FakeDoors()
    doors.open.set()
    write(kafka_url, topic, event(1, "k"), record, event(2, "k"))
    async with reading(module_of(Kafka(kafka_url), topic, topic), doors):
        await until(lambda: len(doors.taken) == 2)
    (parked,) = doors.parked
    assert why in parked.reason
    assert (parked.topic, parked.offset, parked.group) == (topic, 1, topic)
    assert base64.b64decode(parked.value) == record.value
    await until_committed(kafka_url, topic, topic, 3)


async def test_a_bug_of_ours_sets_one_record_aside_and_no_more(kafka_url: str, topic: str) -> None:
    doors = FakeDoors()
    doors.open.set()
    doors.fail = lambda message: RuntimeError("a bug") if message.number == 1 else None
    write(kafka_url, topic, event(1, "k"), event(2, "k"))
    async with reading(module_of(Kafka(kafka_url), topic, topic), doors):
        await until(lambda: len(doors.taken) == 1)
    assert [one.reason for one in doors.parked] == ["RuntimeError: a bug"]


async def test_events_of_other_types_are_passed_over(kafka_url: str, topic: str) -> None:
    doors = FakeDoors()
    doors.open.set()
    other = event(1)
    other = Record(
        "", other.key, other.value, [(n, b"orders.Other" if n == "ce_type" else v) for n, v in other.headers]
    )
    write(kafka_url, topic, other, event(2))
    async with reading(module_of(Kafka(kafka_url), topic, topic), doors):
        await until(lambda: len(doors.taken) == 1)
    assert doors.parked == []


async def test_a_store_that_is_lost_ends_the_link_and_commits_nothing(kafka_url: str, topic: str) -> None:
    doors = FakeDoors()
    doors.open.set()
    doors.fail = lambda message: StoreUnusable("taken over")
    write(kafka_url, topic, event(1))
    (link,) = module_of(Kafka(kafka_url), topic, topic).declared.links
    with pytest.raises(StoreUnusable):
        await link.run(doors)  # type: ignore[arg-type]
    assert doors.parked == []
    assert await asyncio.to_thread(committed, kafka_url, topic, topic) == 0


async def test_workers_share_a_group_and_lose_and_reorder_nothing(kafka_url: str, topic: str) -> None:
    """One comes and one goes while records come: each key stays in order, whoever reads it."""
    kafka = Kafka(patient(kafka_url))
    seen: list[Shipped] = []

    def doors() -> FakeDoors:
        one = FakeDoors(taken=seen)
        one.open.set()
        return one

    written = 0

    async def keep(count: int) -> None:
        nonlocal written
        numbers = range(written, written + count)
        await asyncio.to_thread(write, kafka_url, topic, *(event(n, f"k{n % 10}") for n in numbers))
        written += count

    mine, theirs = doors(), doors()
    async with reading(module_of(kafka, topic, topic), mine):
        await keep(100)
        await until(lambda: len(seen) == 100)
        async with reading(module_of(kafka, topic, topic), theirs):
            while not theirs.origins:
                await keep(10)
            await keep(500)
            await until(lambda: len(theirs.origins) >= 100)
        await keep(100)
        await until(lambda: len(seen) >= written)
    by_key = {key: [one.number for one in seen if one.order == key] for key in {one.order for one in seen}}
    assert all(numbers == sorted(numbers) for numbers in by_key.values())
    assert len(seen) == written, "a partition that is handed over in order is handed over without repeats"
