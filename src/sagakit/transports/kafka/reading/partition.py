"""What is under way of one partition: in order per key, side by side across keys, committed up to the first gap."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from sagakit.transports.kafka.form.wire import Record


class Partition:
    """The records of one partition that are taken and not done yet."""

    def __init__(self, handle: Callable[[Record], Awaitable[None]], on_done: Callable[[int], None]) -> None:
        self._handle = handle
        self._on_done = on_done
        self._offsets: deque[int] = deque()
        self._done: set[int] = set()
        self._keys: dict[bytes | None, deque[Record]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._given_up = False
        self.taken = -1
        """After the last record that was taken."""
        self.next: int | None = None
        """Where whoever reads on has to begin; None: where this one began."""

    @property
    def left(self) -> int:
        """Records that are not done."""
        return len(self._offsets) - len(self._done)

    def take(self, record: Record) -> None:
        """Handle a record, after those of its key that came before. A record without key shares one with all such."""
        if self._given_up:
            return
        self._offsets.append(record.offset)
        self.taken = record.offset + 1
        waiting = self._keys.get(record.key)
        if waiting is not None:
            waiting.append(record)
            return
        self._keys[record.key] = deque((record,))
        task = asyncio.create_task(self._work(record.key), name=f"sagakit {record.place}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def give_up(self, within: float) -> None:
        """Begin nothing more, and wait for what runs; cancel what has not ended after so many seconds."""
        self._given_up = True
        if self._running:
            _, left = await asyncio.wait(set(self._running), timeout=within)
            for one in left:
                one.cancel()
            if left:
                await asyncio.wait(left)

    async def _work(self, key: bytes | None) -> None:
        waiting = self._keys[key]
        try:
            while waiting and not self._given_up:
                await self._handle(waiting[0])
                self._finished(waiting.popleft().offset)
        finally:
            if not waiting:
                del self._keys[key]

    def _finished(self, offset: int) -> None:
        self._done.add(offset)
        before = self.next
        while self._offsets and self._offsets[0] in self._done:
            done = self._offsets.popleft()
            self._done.discard(done)
            self.next = done + 1
        if self.next is not None and self.next != before:
            self._on_done(self.next)
