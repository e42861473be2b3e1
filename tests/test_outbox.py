"""A command in a user's own transaction: it is sent if that commits, once, and handled by the engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import psycopg
import pytest
import sqlalchemy
from sqlalchemy.orm import Session, sessionmaker

from sagakit import App, InvalidMessage, KeyReused, NotPossible, Receipt, UnknownMessage, outbox
from sagakit.stores.postgres.address import parse
from sagakit.stores.postgres.connection import connect

app = App("billing")
collected: list[str] = []


@dataclass(frozen=True)
class CollectInvoice:
    number: str


@dataclass(frozen=True)
class CollectMany:
    numbers: frozenset[str]


@dataclass(frozen=True)
class InvoiceCollected:
    number: str


@dataclass(frozen=True)
class Unheard:
    number: str


@app.handles
async def collect(command: CollectInvoice) -> InvoiceCollected:
    collected.append(command.number)
    return InvoiceCollected(command.number)


@app.handles
async def collect_many(command: CollectMany) -> Sequence[InvoiceCollected]:
    return [InvoiceCollected(number) for number in command.numbers]


@pytest.fixture
async def schema(postgres_url: str) -> str:
    """The schema of a store that is there, with a table of the user's own beside it."""
    async with app.engine(postgres_url):
        pass
    address = parse(postgres_url)
    connection = await connect(address)
    await connection.execute("CREATE TABLE invoices (number text)")
    await connection.close()
    collected.clear()
    return address.schema


@pytest.fixture
def server(postgres_server: str) -> str:
    return postgres_server


class Undo(Exception):
    """The user's transaction comes to nothing."""


Send = Callable[..., Awaitable[Receipt]]
Opened = Callable[[str], AbstractAsyncContextManager[tuple[Any, Send]]]
"""A transaction of a driver on a server: something that executes SQL, and `outbox.send` on it."""


@asynccontextmanager
async def of_psycopg(url: str) -> AsyncIterator[tuple[Any, Send]]:
    with psycopg.connect(url) as connection:

        async def send(*args: Any, **kwargs: Any) -> Receipt:
            return outbox.send(connection, *args, app=app, **kwargs)

        async def execute(sql: str) -> None:
            connection.execute(sql)  # type: ignore[call-overload]

        yield execute, send


@asynccontextmanager
async def of_psycopg_in_autocommit(url: str) -> AsyncIterator[tuple[Any, Send]]:
    with psycopg.connect(url, autocommit=True) as connection, connection.transaction():

        async def send(*args: Any, **kwargs: Any) -> Receipt:
            return outbox.send(connection, *args, app=app, **kwargs)

        async def execute(sql: str) -> None:
            connection.execute(sql)  # type: ignore[call-overload]

        yield execute, send


@asynccontextmanager
async def of_psycopg_async(url: str) -> AsyncIterator[tuple[Any, Send]]:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        yield connection.execute, lambda *args, **kwargs: outbox.send(connection, *args, app=app, **kwargs)


@asynccontextmanager
async def of_asyncpg(url: str) -> AsyncIterator[tuple[Any, Send]]:
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            yield connection.execute, lambda *args, **kwargs: outbox.send(connection, *args, app=app, **kwargs)
    finally:
        await connection.close()


@asynccontextmanager
async def of_asyncpg_pool(url: str) -> AsyncIterator[tuple[Any, Send]]:
    async with (
        asyncpg.create_pool(url, min_size=1, max_size=1) as pool,
        pool.acquire() as connection,
        connection.transaction(),
    ):
        yield connection.execute, lambda *args, **kwargs: outbox.send(connection, *args, app=app, **kwargs)


@asynccontextmanager
async def of_sqlalchemy(url: str) -> AsyncIterator[tuple[Any, Send]]:
    engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    try:
        with engine.begin() as connection:

            async def send(*args: Any, **kwargs: Any) -> Receipt:
                return outbox.send(connection, *args, app=app, **kwargs)

            async def execute(sql: str) -> None:
                connection.execute(sqlalchemy.text(sql))

            yield execute, send
    finally:
        engine.dispose()


@asynccontextmanager
async def of_sqlalchemy_session(url: str) -> AsyncIterator[tuple[Any, Send]]:
    engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    try:
        with Session(engine) as session, session.begin():

            async def send(*args: Any, **kwargs: Any) -> Receipt:
                return outbox.send(session, *args, app=app, **kwargs)

            async def execute(sql: str) -> None:
                session.execute(sqlalchemy.text(sql))

            yield execute, send
    finally:
        engine.dispose()


def of_sqlalchemy_async(driver: str) -> Opened:
    @asynccontextmanager
    async def opened(url: str) -> AsyncIterator[tuple[Any, Send]]:
        from sqlalchemy.ext.asyncio import create_async_engine

        engine = create_async_engine(url.replace("postgresql://", f"postgresql+{driver}://"))
        try:
            async with engine.begin() as connection:

                async def execute(sql: str) -> None:
                    await connection.execute(sqlalchemy.text(sql))

                yield execute, lambda *args, **kwargs: outbox.send(connection, *args, app=app, **kwargs)
        finally:
            await engine.dispose()

    return opened


@asynccontextmanager
async def of_sqlalchemy_async_session(url: str) -> AsyncIterator[tuple[Any, Send]]:
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
    try:
        async with AsyncSession(engine) as session, session.begin():

            async def execute(sql: str) -> None:
                await session.execute(sqlalchemy.text(sql))

            yield execute, lambda *args, **kwargs: outbox.send(session, *args, app=app, **kwargs)
    finally:
        await engine.dispose()


def set_django_up(url: str) -> None:
    """Once a process: its server is the same for all tests."""
    import django
    from django.conf import settings

    if settings.configured:
        return
    parts = urlsplit(url)
    names = {"NAME": parts.path[1:], "USER": parts.username, "PASSWORD": parts.password or "", "HOST": parts.hostname}
    database = {"ENGINE": "django.db.backends.postgresql", "PORT": parts.port, **names}
    settings.configure(DATABASES={"default": database}, USE_TZ=True)
    django.setup()


async def in_a_thread(work: Callable[..., Any], *args: Any) -> Any:
    """Django refuses to be asked where an event loop runs."""
    return await asyncio.to_thread(work, *args)


DRIVERS: dict[str, Opened] = {
    "psycopg": of_psycopg,
    "psycopg in autocommit, in a transaction": of_psycopg_in_autocommit,
    "psycopg async": of_psycopg_async,
    "asyncpg": of_asyncpg,
    "asyncpg's pool": of_asyncpg_pool,
    "sqlalchemy": of_sqlalchemy,
    "sqlalchemy's session": of_sqlalchemy_session,
    "sqlalchemy async on asyncpg": of_sqlalchemy_async("asyncpg"),
    "sqlalchemy async on psycopg": of_sqlalchemy_async("psycopg"),
    "sqlalchemy's async session": of_sqlalchemy_async_session,
}


async def read(postgres_url: str) -> tuple[list[str], int]:
    """The user's rows, and how many commands wait."""
    connection = await connect(parse(postgres_url))
    rows = [row[0] for row in await connection.fetch("SELECT number FROM invoices ORDER BY number")]
    waiting = await connection.fetchval("SELECT count(*) FROM deliveries")
    await connection.close()
    return rows, waiting


@pytest.mark.parametrize("driver", DRIVERS)
async def test_both_or_none(driver: str, server: str, schema: str, postgres_url: str) -> None:
    if "sqlalchemy" in driver and "async" in driver:
        pytest.importorskip("greenlet")
    opened = DRIVERS[driver]
    async with opened(server) as (execute, send):
        await execute(f"INSERT INTO {schema}.invoices VALUES ('one')")
        receipt = await send(CollectInvoice("one"), schema=schema)
        assert (await read(postgres_url)) == ([], 0), "nothing is seen before the commit"
    with suppress(Undo):
        async with opened(server) as (execute, send):
            await execute(f"INSERT INTO {schema}.invoices VALUES ('two')")
            await send(CollectInvoice("two"), schema=schema)
            raise Undo
    assert await read(postgres_url) == (["one"], 1)
    async with app.engine(postgres_url) as engine:
        done = await engine.wait(until=InvoiceCollected, correlation_id=receipt.correlation_id)
        assert done == InvoiceCollected("one")
    assert collected == ["one"]
    assert await read(postgres_url) == (["one"], 0)


async def test_djangos_connection(server: str, schema: str, postgres_url: str) -> None:
    set_django_up(server)
    from django.db import connection, transaction

    def insert(number: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO {schema}.invoices VALUES ('{number}')")

    def send_both() -> Receipt:
        try:
            with pytest.raises(NotPossible, match="autocommit"):
                outbox.send(connection, CollectInvoice("zero"), app=app, schema=schema)
            with suppress(Undo), transaction.atomic():
                insert("one")
                outbox.send(connection, CollectInvoice("one"), app=app, schema=schema)
                raise Undo
            with transaction.atomic():
                insert("two")
                return outbox.send(connection, CollectInvoice("two"), app=app, schema=schema)
        finally:
            connection.close()

    receipt = await in_a_thread(send_both)
    assert await read(postgres_url) == (["two"], 1)
    async with app.engine(postgres_url) as engine:
        assert await engine.wait(until=InvoiceCollected, correlation_id=receipt.correlation_id)
    assert collected == ["two"]


async def test_an_engine_that_runs_is_woken_by_the_commit(server: str, schema: str, postgres_url: str) -> None:
    async with app.engine(postgres_url) as engine:
        with psycopg.connect(server) as connection:
            receipt = outbox.send(connection, CollectInvoice("one"), app=app, schema=schema)
        await engine.wait(until=InvoiceCollected, correlation_id=receipt.correlation_id, timeout=10)
    assert collected == ["one"]


async def test_a_key_is_of_what_is_said_whatever_the_order_of_a_set(
    server: str, schema: str, postgres_url: str
) -> None:
    numbers = [str(number) for number in range(300)]  # of a hundred, one hash seed in 20,000 has both alike
    one, same = CollectMany(frozenset(numbers)), CollectMany(frozenset(reversed(numbers)))
    assert list(one.numbers) != list(same.numbers), "so their payloads differ"
    with psycopg.connect(server) as connection:
        assert not outbox.send(connection, one, app=app, schema=schema, idempotency_key="k").repeated
        assert outbox.send(connection, same, app=app, schema=schema, idempotency_key="k").repeated
    async with app.engine(postgres_url) as engine:
        assert (await engine.send(same, idempotency_key="k")).repeated


async def test_a_key_is_taken_once(server: str, schema: str, postgres_url: str) -> None:
    with psycopg.connect(server) as connection:
        first = outbox.send(connection, CollectInvoice("one"), app=app, schema=schema, idempotency_key="k")
        again = outbox.send(connection, CollectInvoice("one"), app=app, schema=schema, idempotency_key="k")
        assert (again.message_id, first.repeated, again.repeated) == (first.message_id, False, True)
    with psycopg.connect(server) as connection:
        assert outbox.send(connection, CollectInvoice("one"), app=app, schema=schema, idempotency_key="k").repeated
        with pytest.raises(KeyReused):
            outbox.send(connection, CollectInvoice("two"), app=app, schema=schema, idempotency_key="k")
    async with app.engine(postgres_url) as engine:
        repeated = await engine.send(CollectInvoice("one"), idempotency_key="k")
        assert (repeated.message_id, repeated.repeated) == (first.message_id, True), "the door knows it too"
        await engine.wait(until=InvoiceCollected, correlation_id=first.correlation_id)
    assert collected == ["one"]


async def test_later(server: str, schema: str, postgres_url: str) -> None:
    with psycopg.connect(server) as connection:
        outbox.send(connection, CollectInvoice("one"), app=app, schema=schema, after=3600)
    async with app.engine(postgres_url) as engine:
        [waiting] = await engine.store.read_scheduled()
        assert waiting.due_at - waiting.envelope.recorded_at == 3_600_000_000
    assert collected == []


async def test_without_a_transaction_it_is_refused(server: str, schema: str, postgres_url: str) -> None:
    command = CollectInvoice("one")
    with psycopg.connect(server, autocommit=True) as connection, pytest.raises(NotPossible, match="autocommit"):
        outbox.send(connection, command, app=app, schema=schema)
    async with await psycopg.AsyncConnection.connect(server, autocommit=True) as aconnection:
        with pytest.raises(NotPossible, match="open a transaction"):
            await outbox.send(aconnection, command, app=app, schema=schema)
    plain = await asyncpg.connect(server)
    with pytest.raises(NotPossible, match="autocommit"):
        await outbox.send(plain, command, app=app, schema=schema)
    await plain.close()
    url = server.replace("postgresql://", "postgresql+psycopg://")
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as alchemy, pytest.raises(NotPossible, match="autocommit"):
        outbox.send(alchemy, command, app=app, schema=schema)
    engine.dispose()
    assert await read(postgres_url) == ([], 0)


async def test_without_a_transaction_sqlalchemys_async_connection_is_refused(server: str, schema: str) -> None:
    pytest.importorskip("greenlet")
    from sqlalchemy.ext.asyncio import create_async_engine

    url = server.replace("postgresql://", "postgresql+asyncpg://")
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        with pytest.raises(NotPossible, match="autocommit"):
            await outbox.send(connection, CollectInvoice("one"), app=app, schema=schema)
    await engine.dispose()


def test_what_cannot_be_sent(server: str) -> None:
    with psycopg.connect(server) as connection:
        with pytest.raises(UnknownMessage):
            outbox.send(connection, Unheard("one"), app=app)
        with pytest.raises(UnknownMessage):
            outbox.send(connection, InvoiceCollected("one"), app=app)
        with pytest.raises(InvalidMessage):
            outbox.send(connection, CollectInvoice(1), app=app)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="no connection of psycopg"):
            outbox.send(object(), CollectInvoice("one"), app=app)
    engine = sqlalchemy.create_engine(server.replace("postgresql://", "postgresql+psycopg://"))
    for maker in (engine, sessionmaker(engine)):
        with pytest.raises(TypeError, match="or SQLAlchemy, and no session of it"):
            outbox.send(maker, CollectInvoice("one"), app=app)
