"""Words between workers, by LISTEN and NOTIFY."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import structlog

from sagakit.core.cluster.members import Notice
from sagakit.errors import StoreFailed, StoreUnusable
from sagakit.stores.postgres.address import Address, channel_of
from sagakit.stores.postgres.connection import Connection, connect, explained

MOST_BYTES = 7_900
"""Of one word: the server takes less than 8000."""
AGAIN = 1.0
"""Seconds between two tries to listen again."""

_log = structlog.get_logger("sagakit.store")
_decode = msgspec.json.Decoder(Notice).decode


class Listener:
    """A connection that hears what other workers say, and is made anew when it breaks."""

    def __init__(self, address: Address, me: str) -> None:
        self._address = address
        self.me = me
        self.on_notice: Callable[[Notice], None] = lambda notice: None
        self._connection: Connection | None = None
        self._broken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Hear from now on."""
        await self._connect()
        self._task = asyncio.create_task(self._listen_on(), name="sagakit listener")

    async def stop(self) -> None:
        """Hear no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._connection is not None:
            self._connection.terminate()

    async def _connect(self) -> None:
        connection = await connect(self._address)
        self._broken.clear()
        connection.add_termination_listener(lambda _: self._broken.set())
        with explained(self._address):
            await connection.add_listener(channel_of(self._address.schema), self._heard)
        self._connection = connection

    async def _listen_on(self) -> None:
        while True:
            await self._broken.wait()
            _log.warning("the connection that listens was lost: polls stand in until there is a new one")
            while self._broken.is_set():
                try:
                    await self._connect()
                except (StoreFailed, StoreUnusable):
                    await asyncio.sleep(AGAIN)

    def _heard(self, connection: Any, pid: int, channel: str, said: str) -> None:
        try:
            notice = _decode(said)
        except msgspec.MsgspecError:
            return  # a newer version's word
        if notice.sender != self.me and notice.to in (None, self.me):
            self.on_notice(notice)


def payloads(notice: Notice, sender: str) -> Iterator[str]:
    """A notice as it is sent: in several words where it is too long for one."""
    text = msgspec.json.encode(Notice(notice.kind, notice.about, notice.to, sender))
    if len(text) <= MOST_BYTES:
        yield text.decode()
    elif len(notice.about) > 1:
        half = len(notice.about) // 2
        for about in (notice.about[:half], notice.about[half:]):
            yield from payloads(Notice(notice.kind, about, notice.to), sender)
