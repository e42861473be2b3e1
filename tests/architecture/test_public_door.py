"""The public door says what it offers, in order, and keeps its word."""

import subprocess
import sys

import sagakit

# What somebody who only declares messages and handlers need not load (structlog brings rich by itself).
ADAPTERS = ["apsw", "asyncpg", "confluent_kafka", "grpc", "httpx", "litestar", "redis", "typer", "uvicorn"]


def names() -> list[str]:
    return list(getattr(sagakit, "__all__", []))


def test_offers_something() -> None:
    assert names()


def test_names_are_sorted_and_unique() -> None:
    assert names() == sorted(set(names()))


def test_every_name_is_there() -> None:
    missing = [name for name in names() if not hasattr(sagakit, name)]
    assert not missing


def test_no_name_is_private() -> None:
    private = [name for name in names() if name.startswith("_") and name != "__version__"]
    assert not private


def test_importing_the_door_loads_no_adapter() -> None:
    show = f"import sys, sagakit; print(*sorted(set(sys.modules) & set({ADAPTERS!r})))"
    loaded = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []
