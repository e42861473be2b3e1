"""Signs of life, on a connection of their own, in whatever event loop gives them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from sagakit.errors import LeaseLost
from sagakit.stores.postgres.address import Address
from sagakit.stores.postgres.connection import Connection, connect, explained
from sagakit.stores.postgres.queries import QUERIES

BEAT_WITHIN = 5.0
"""Seconds for one sign of life; then the connection is given up."""


class Pulse:
    """Renews a lease, and expels those whose lease has expired."""

    def __init__(self, address: Address, me: str) -> None:
        self._address = address
        self._me = me
        self._connection: Connection | None = None
        self._held: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def renew(self) -> Sequence[Sequence[Any]]:
        """My lease lasts anew; the rows of all who live."""
        connection = await self._connected()
        try:
            with explained(self._address):
                async with asyncio.timeout(BEAT_WITHIN):
                    if await connection.fetchval(QUERIES["renew"], self._me) is None:
                        raise LeaseLost(f"{self._address} has expelled this engine: others go on with what it owned")
                    return await connection.fetch(QUERIES["read_workers"])
        except BaseException:
            self._drop()
            raise

    async def expel_expired(self) -> list[str]:
        """Those whose lease has expired, and who are not committing at this moment."""
        connection = await self._connected()
        try:
            with explained(self._address):
                async with asyncio.timeout(BEAT_WITHIN), connection.transaction():
                    expelled = [row[0] for row in await connection.fetch(QUERIES["expel_expired"], self._me)]
                    if expelled:
                        await connection.execute(QUERIES["free_leases"], expelled)
                    return expelled
        except BaseException:
            self._drop()
            raise

    def stop(self) -> None:
        """Give no more."""
        self._drop()

    async def _connected(self) -> Connection:
        loop = asyncio.get_running_loop()
        if self._connection is None or self._connection.is_closed() or self._loop is not loop:
            self._connection, self._loop = await connect(self._address), loop
            self._held = loop.create_task(_hold(self._connection), name="sagakit pulse")
        return self._connection

    def _drop(self) -> None:
        self._connection = None
        held, self._held = self._held, None
        if held is not None and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(held.cancel)


async def _hold(connection: Connection) -> None:
    """End the connection with its loop, or before."""
    try:
        await asyncio.Event().wait()
    finally:
        connection.terminate()
