"""The connections that read: a few, kept open, each used by one question at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sagakit.errors import StoreFailed, StoreUnusable
from sagakit.stores.postgres.address import Address
from sagakit.stores.postgres.connection import BY_INDEX, Connection, connect, end, explain, is_broken

T = TypeVar("T")

MOST = 4
READ_WITHIN = 60.0
"""Seconds for one answer."""
# nothing is written here; but NOTIFY is a transaction too, and would wait for the disk while others wait for it
SETTINGS = BY_INDEX | {"synchronous_commit": "off"}
"""Of a connection that reads."""


class Readers:
    """Asks a question on a connection that is free; once more on a new one if the connection has broken."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._free: list[Connection] = []
        self._room = asyncio.Semaphore(MOST)
        self._asking: set[asyncio.Task[object]] = set()
        self.closed = False

    async def read(self, ask: Callable[[Connection], Awaitable[T]]) -> T:
        """The answer to a question that changes nothing.

        Whoever gives up waiting leaves it to be answered: to break it off would cost its connection.
        """
        task = asyncio.ensure_future(self._read(ask))
        self._asking.add(task)
        task.add_done_callback(self._answered)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            me = asyncio.current_task()
            if task.cancelled() and me is not None and not me.cancelling():
                raise self._not_open() from None
            raise

    def _not_open(self) -> StoreFailed:
        return StoreFailed(f"{self._address} is not open")

    def _answered(self, task: asyncio.Task[T]) -> None:
        self._asking.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waits for it is told; nobody may wait any more

    async def _read(self, ask: Callable[[Connection], Awaitable[T]]) -> T:
        async with self._room:
            while self._free:
                connection = self._free.pop()
                if connection.is_closed():
                    continue
                try:
                    return await self._ask(connection, ask)
                except Exception as error:
                    if not is_broken(error):
                        raise self._explained(error) from error
                    self._drop()  # what has ended one connection has mostly ended all
            return await self._ask_anew(ask)

    async def _ask_anew(self, ask: Callable[[Connection], Awaitable[T]]) -> T:
        if self.closed:
            raise self._not_open()
        connection = await connect(self._address, settings=SETTINGS)
        try:
            return await self._ask(connection, ask)
        except Exception as error:
            raise self._explained(error) from error

    async def _ask(self, connection: Connection, ask: Callable[[Connection], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(READ_WITHIN):
                answer = await ask(connection)
        except BaseException as error:
            if is_broken(error) or not isinstance(error, Exception):
                connection.terminate()
            else:
                self._free.append(connection)
            raise
        if self.closed:
            connection.terminate()
        else:
            self._free.append(connection)
        return answer

    def _explained(self, error: Exception) -> Exception:
        return error if isinstance(error, StoreFailed | StoreUnusable) else explain(error, self._address)

    def _drop(self) -> None:
        for connection in self._free:
            connection.terminate()
        self._free.clear()

    async def close(self) -> None:
        """Read no more."""
        self.closed = True
        asking = list(self._asking)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        free, self._free = self._free, []
        for connection in free:
            await end(connection)
