"""One partition: order per key, side by side across keys, no offset past a gap."""

import asyncio

from sagakit.transports.kafka.form.wire import Record
from sagakit.transports.kafka.reading.partition import Partition


def record(offset: int, key: str | None) -> Record:
    return Record("t", None if key is None else key.encode(), b"", [], 0, offset)


class Desk:
    """Handles records when it is told to."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.stored: list[int] = []
        self._gates: dict[int, asyncio.Event] = {}
        self.partition = Partition(self._handle, self.stored.append)

    async def _handle(self, record: Record) -> None:
        self.begun.append(record.offset)
        await self._gates.setdefault(record.offset, asyncio.Event()).wait()

    async def take(self, *records: Record) -> None:
        for one in records:
            self.partition.take(one)
        await settle()

    async def end(self, *offsets: int) -> None:
        for offset in offsets:
            self._gates[offset].set()
        await settle()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_one_key_in_order_and_others_beside_it() -> None:
    desk = Desk()
    await desk.take(record(4, "a"), record(5, "b"), record(6, "a"), record(7, None), record(8, None))
    assert desk.begun == [4, 5, 7]
    await desk.end(4)
    assert desk.begun == [4, 5, 7, 6]
    await desk.end(7)
    assert desk.begun[-1] == 8


async def test_no_offset_passes_a_gap() -> None:
    desk = Desk()
    await desk.take(record(4, "a"), record(5, "b"), record(9, "c"))
    await desk.end(5)
    assert desk.stored == []
    await desk.end(4)
    assert desk.stored == [6]
    await desk.end(9)
    assert desk.stored == [6, 10]
    assert desk.partition.left == 0


async def test_a_partition_that_is_given_up_ends_what_runs_and_begins_nothing() -> None:
    desk = Desk()
    await desk.take(record(4, "a"), record(5, "a"), record(6, "b"))
    giving = asyncio.ensure_future(desk.partition.give_up(10))
    await settle()
    await desk.end(4, 6)
    await giving
    assert desk.begun == [4, 6]
    assert desk.partition.next == 5
    await desk.take(record(7, "c"))
    assert desk.begun == [4, 6]


async def test_what_does_not_end_in_time_is_cancelled_and_not_committed() -> None:
    desk = Desk()
    await desk.take(record(4, "a"))
    await desk.partition.give_up(0)
    assert desk.stored == []
    assert desk.partition.next is None
