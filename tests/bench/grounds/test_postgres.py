"""The bench on PostgreSQL: a schema of its own, and the floor beside it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import psycopg
import pytest

from sagakit.bench import run
from sagakit.bench.grounds import ground
from sagakit.bench.sizes import BenchFailed, Sizes

SMALL = Sizes(sagas=50, concurrency=10, rounds=2, alone=5, asleep=20, idle_for=0.1, batches=(10, 20))


def schemas(url: str) -> set[str]:
    with psycopg.connect(url.partition("?")[0]) as connection:
        return {name for (name,) in connection.execute("SELECT nspname FROM pg_namespace")}


def test_measures_and_leaves_only_the_schema_that_was_named(postgres_url: str) -> None:
    schema = postgres_url.partition("schema=")[2]

    figures = run.measure(SMALL, postgres_url)

    assert figures.ratio == pytest.approx(figures.sagas_per_s / figures.floor_sagas_per_s, rel=0.01, abs=0.0001)
    assert figures.versions.keys() == {"sagakit", "msgspec", "asyncpg", "postgresql"}
    assert min(value for value in msgspec.structs.astuple(figures)[:6]) > 0
    assert {name for name in schemas(postgres_url) if name.startswith(schema)} == {schema}


async def test_runs_on_no_schema_that_is_there_already(postgres_url: str) -> None:
    schema = postgres_url.partition("schema=")[2]
    with psycopg.connect(postgres_url.partition("?")[0], autocommit=True) as connection:
        connection.execute(f'CREATE SCHEMA "{schema}"')  # type: ignore[call-overload]

    with pytest.raises(BenchFailed, match=f"the schema {schema} exists already"):
        async with ground(postgres_url):
            pass


async def test_says_that_no_server_answers(tmp_path: Path) -> None:
    with pytest.raises(BenchFailed, match="PostgreSQL cannot be reached") as failed:
        async with ground(f"postgresql://me:secret@/postgres?host={tmp_path}"):
            pass
    assert "secret" not in str(failed.value)
