"""A participant's memory in its service's own PostgreSQL: one transaction with the effect, whichever driver it uses."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import asyncpg
import pytest
from tests.engine.stage import until
from tests.participant.test_participant import DO, UNDO, Bank, Charge, Charged, Refund, Refunded, asks, billing, events
from tests.participant.transactions import beginning

from sagakit import TerminalError
from sagakit.participant import Participant, PostgresMemory

Begin = Callable[[], AbstractAsyncContextManager[Any]]


@pytest.fixture(params=["asyncpg", "psycopg"])
def begin(request: pytest.FixtureRequest, postgres_url: str) -> Begin:
    by_psycopg = beginning(postgres_url)
    if request.param == "psycopg":
        return by_psycopg
    server, schema = re.split(r"[?&]schema=", postgres_url)

    @asynccontextmanager
    async def by_asyncpg() -> AsyncIterator[Any]:
        connection = await asyncpg.connect(server, server_settings={"search_path": schema})
        try:
            async with connection.transaction():
                yield connection
        finally:
            await connection.close()

    return by_asyncpg


async def test_once_and_undone(begin: Begin) -> None:
    bank = Bank()
    async with billing(bank, PostgresMemory(begin)) as first, billing(bank, PostgresMemory(begin)) as second:
        assert not (await first.handle(DO)).repeated
        assert (await second.handle(DO)).repeated
        assert events(await second.handle(UNDO)) == [("billing.Refunded", {"key": "1"})]
        assert (await first.handle(UNDO)).repeated
        early = asks(Refund("2"), "u2", undoes="c2")
        assert events(await first.handle(early)) == []
        assert (await second.handle(asks(Charge("2"), "c2"))).known_not_done
        assert (bank.charged, bank.refunded) == (["1"], ["1"])
        assert await first.memory.forget("billing", 3600) == 0
        assert await first.memory.forget("billing", -3600) == 4


async def test_effect_and_answer_stand_together_and_others_wait(begin: Begin) -> None:
    gate, began = asyncio.Event(), list[str]()
    errors: list[Exception] = []

    def one() -> Participant:
        participant = Participant("billing", memory=PostgresMemory(begin))

        @participant.handles
        async def charge(command: Charge, connection: Any) -> Charged:
            began.append(command.key)
            await connection.execute(f"INSERT INTO charges VALUES ('{command.key}')")
            await gate.wait()
            if errors:
                raise errors.pop(0)
            return Charged(command.key)

        @participant.handles
        async def refund(command: Refund, connection: Any) -> Refunded:
            await connection.execute(f"DELETE FROM charges WHERE key = '{command.key}'")
            return Refunded(command.key)

        return participant

    async def charges() -> int:
        async with begin() as connection:
            if hasattr(connection, "fetchval"):
                return await connection.fetchval("SELECT count(*) FROM charges")
            return (await (await connection.execute("SELECT count(*) FROM charges")).fetchone())[0]

    async with begin() as connection:
        await connection.execute("CREATE TABLE charges (key text)")
    async with one() as first, one() as second, one() as third:
        errors.append(TerminalError("broken"))
        gate.set()
        assert (await first.handle(asks(Charge("0"), "c0"))).failed == "TerminalError: broken"
        assert await charges() == 0

        gate.clear()
        began.clear()
        do = asyncio.create_task(first.handle(DO))
        await until(lambda: began)
        again, undo = asyncio.create_task(second.handle(DO)), asyncio.create_task(third.handle(UNDO))
        await asyncio.wait([again, undo], timeout=0.2)
        assert not again.done()
        assert not undo.done()  # the do is under way in another process
        gate.set()
        assert not (await do).repeated
        assert (await again).repeated
        assert events(await undo) == [("billing.Refunded", {"key": "1"})]
        assert (began, await charges()) == (["1"], 0)
