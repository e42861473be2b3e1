"""The connections that users have, told apart without loading any driver: how each is asked, and whether it commits.

What is told of a driver is its package; so a pool's proxy and a user's own subclass are known too.
"""

from __future__ import annotations

from inspect import iscoroutinefunction
from typing import Any

from sagakit.errors import NotPossible
from sagakit.stores.postgres.outbox.calls import Call


def is_async(connection: Any) -> bool:
    """Whether it is asked with await."""
    return _package(connection) == "asyncpg" or iscoroutinefunction(getattr(connection, "execute", None))


def call(connection: Any, asked: Call) -> Any:
    """Ask a connection that answers at once."""
    package = _package(connection)
    if package == "sqlalchemy":
        return _sqlalchemy(connection, asked)
    if package == "django":
        _check_open(connection.in_atomic_block or not connection.get_autocommit())
    else:
        _check_open(not connection.autocommit or _psycopg_is_open(connection))
    with connection.cursor() as cursor:
        cursor.execute(asked.statement(_percent), asked.values())
        return cursor.fetchone()[0]


async def call_async(connection: Any, asked: Call) -> Any:
    """Ask a connection that is awaited."""
    package = _package(connection)
    if package == "asyncpg":
        _check_open(connection.is_in_transaction())
        return await connection.fetchval(asked.statement(_dollar), *asked.values())
    if package == "sqlalchemy":
        if not hasattr(connection, "run_sync"):
            raise _unknown(connection)
        return await connection.run_sync(_sqlalchemy, asked)
    _check_open(not connection.autocommit or _psycopg_is_open(connection))
    async with connection.cursor() as cursor:
        await cursor.execute(asked.statement(_percent), asked.values())
        return (await cursor.fetchone())[0]


def _sqlalchemy(connection: Any, asked: Call) -> Any:
    """A connection or a session, sync; also what is inside the async ones."""
    from sqlalchemy import text

    if not hasattr(connection, "execute"):  # an engine, or what makes sessions
        raise _unknown(connection)
    connection = connection.connection() if callable(getattr(connection, "connection", None)) else connection
    _check_open(not connection.connection.dbapi_connection.autocommit)
    values = {f"p{place}": value for place, value in enumerate(asked.values(), 1)}
    return connection.execute(text(asked.statement(lambda place: f":p{place}")), values).scalar_one()


def _package(connection: Any) -> str:
    known = {"asyncpg", "django", "psycopg", "psycopg2", "psycopg_pool", "sqlalchemy"}
    for cls in type(connection).__mro__:
        package = cls.__module__.partition(".")[0]
        if package in known:
            return package
    raise _unknown(connection)


def _unknown(connection: Any) -> TypeError:
    return TypeError(
        f"outbox.send: {type(connection).__name__} is no connection of psycopg, asyncpg, Django or SQLAlchemy, "
        "and no session of it"
    )


def _psycopg_is_open(connection: Any) -> bool:
    """A transaction that was begun by hand, or by `connection.transaction()`."""
    info = getattr(connection, "info", None)
    return info is not None and bool(info.transaction_status)  # 0: idle


def _check_open(is_open: bool) -> None:
    if not is_open:
        raise NotPossible(
            "outbox.send: this connection is in autocommit, so the command would not be one commit with your rows: "
            "open a transaction around both"
        )


def _percent(place: int) -> str:
    return "%s"


def _dollar(place: int) -> str:
    return f"${place}"
