"""Transactions on PostgreSQL, begun as a service begins its own."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import psycopg
from psycopg import sql


def beginning(url: str) -> Callable[[], AbstractAsyncContextManager[Any]]:
    """Begins transactions in the schema that a URL names, made here."""
    server, schema = re.split(r"[?&]schema=", url)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))

    @asynccontextmanager
    async def begin() -> AsyncIterator[Any]:
        async with await psycopg.AsyncConnection.connect(server, options=f"-c search_path={schema}") as connection:
            yield connection

    return begin
