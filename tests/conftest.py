"""Real servers, each started by the first test that asks for it, and the stores that tests run on."""

from __future__ import annotations

import inspect
import os
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from tests import each_store as stores
from tests.servers.shared import shared

from sagakit.testing import manual

# a machine may be slow, or stand still for seconds: that says nothing about what is tested
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
manual.PATIENCE = 60.0


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all test processes of this run share."""
    mine = tmp_path_factory.getbasetemp()
    return mine.parent if os.environ.get("PYTEST_XDIST_WORKER") else mine


@pytest.fixture(scope="session")
def postgres_server(run_folder: Path) -> Generator[str]:
    """The URL of a PostgreSQL server: SAGAKIT_TEST_POSTGRES, else one of our own."""
    given = os.environ.get("SAGAKIT_TEST_POSTGRES")
    if given:
        yield given
        return
    with shared("postgres", run_folder) as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> Generator[str]:
    """The URL of a store on PostgreSQL that is empty, and is a test's own: a schema of its own, which it ends with."""
    import psycopg
    from psycopg import sql

    schema = f"test_{uuid4().hex[:16]}"
    yield f"{postgres_server}{'&' if '?' in postgres_server else '?'}schema={schema}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        found = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE %s", [f"{schema}%"]).fetchall()
        for (name,) in found:  # also those that a test has beside it, with longer names
            connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))


@pytest.fixture
def kept_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store that processes share which a test kills: `ON_KEPT_STORES` says how often on which."""
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgres_url")
        return url
    return str(tmp_path / "kept.db")


@pytest.fixture(scope="session")
def kafka_url(run_folder: Path) -> Generator[str]:
    """The URL of a broker that nobody kills: SAGAKIT_TEST_KAFKA, else one of our own. Topics are a test's own."""
    given = os.environ.get("SAGAKIT_TEST_KAFKA")
    if given:
        yield given
        return
    with shared("kafka", run_folder) as url:
        yield url


@pytest.fixture(scope="session")
def postgres_schemas(postgres_server: str) -> Generator[stores.Schemas]:
    """Schemas that tests use one after another."""
    schemas = stores.Schemas(postgres_server)
    yield schemas
    schemas.close()


SERVERS = frozenset({"kafka_url", "own_broker", "postgres_server", "valkey"})
"""Fixtures that start a server."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        assert isinstance(item, pytest.Function)
        on = getattr(item, "callspec", None)
        kinds = {on.params.get("each_store"), on.params.get("kept_url")} if on else set[object]()
        if not SERVERS.isdisjoint(item.fixturenames) or "postgresql" in kinds:
            item.add_marker("long")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "only_on(*kinds, because): of the stores in tests/each_store.py, only these")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "each_store" in metafunc.fixturenames:
        only = metafunc.definition.get_closest_marker("only_on")
        kinds = only.args if only else stores.KINDS
        opens_none = not inspect.iscoroutinefunction(metafunc.function)
        metafunc.parametrize("each_store", kinds[:1] if opens_none else kinds, indirect=True)


@pytest.fixture
async def each_store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[stores.Stores]:
    """Run the test on each kind of store: see tests/each_store.py."""
    schemas = request.getfixturevalue("postgres_schemas") if request.param == "postgresql" else None
    now = stores.Stores(request.param, tmp_path, schemas)
    stores.NOW.append(now)
    with monkeypatch.context() as patch:
        stores.prepare(patch, now)
        yield now
    stores.NOW.remove(now)
    await now.close()
    stores.shared_out.cache_clear()
