"""Real servers, each started by the first test that asks for it."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from uuid import uuid4

import pytest
from tests.servers.shared import shared


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
    """The URL of a store on PostgreSQL that is empty, and is a test's own: a schema of its own."""
    import psycopg

    schema = f"test_{uuid4().hex[:16]}"
    yield f"{postgres_server}{'&' if '?' in postgres_server else '?'}schema={schema}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f'SET client_min_messages = warning; DROP SCHEMA IF EXISTS "{schema}" CASCADE')


@pytest.fixture(scope="session")
def kafka_url(run_folder: Path) -> Generator[str]:
    """The URL of a broker that nobody kills: SAGAKIT_TEST_KAFKA, else one of our own. Topics are a test's own."""
    given = os.environ.get("SAGAKIT_TEST_KAFKA")
    if given:
        yield given
        return
    with shared("kafka", run_folder) as url:
        yield url
