"""The connections that read."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sagakit.errors import StoreFailed
from sagakit.stores.postgres.address import parse
from sagakit.stores.postgres.readers import Readers


async def pid_of(connection: Any) -> int:
    return int(await connection.fetchval("SELECT pg_backend_pid()"))


async def test_who_gives_up_waiting_leaves_the_connection(postgres_url: str) -> None:
    readers, asked, gate = Readers(parse(postgres_url)), asyncio.Event(), asyncio.Event()
    seen: list[int] = []

    async def ask(connection: Any) -> None:
        asked.set()
        await gate.wait()
        seen.append(await pid_of(connection))

    reading = asyncio.create_task(readers.read(ask))
    await asked.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    gate.set()
    while not seen:
        await asyncio.sleep(0)
    assert await readers.read(pid_of) == seen[0]
    await readers.close()


async def test_what_is_still_asked_ends_with_the_store(postgres_url: str) -> None:
    readers, asked = Readers(parse(postgres_url)), asyncio.Event()

    async def ask(connection: Any) -> None:
        asked.set()
        await connection.fetchval("SELECT pg_sleep(600)")

    reading = asyncio.create_task(readers.read(ask))
    await asked.wait()
    await readers.close()
    with pytest.raises(StoreFailed, match="is not open"):
        await reading
    with pytest.raises(StoreFailed, match="is not open"):
        await readers.read(pid_of)


async def test_words_do_not_wait_for_the_disk(postgres_url: str) -> None:
    readers = Readers(parse(postgres_url))
    assert await readers.read(lambda connection: connection.fetchval("SHOW synchronous_commit")) == "off"
    await readers.close()
