"""The bench measures what it says, and fails where a saga does not end as it must."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

import sagakit.bench.grounds.sqlite  # noqa: F401  (patched)
from sagakit.bench import ended, grounds, load, run, run_bench
from sagakit.bench.figures import Figures
from sagakit.bench.history import fill
from sagakit.bench.orders import ConfirmOrder, bench, new_order
from sagakit.bench.sizes import BenchFailed, Sizes
from sagakit.engine.limits import Limits
from sagakit.errors import WaitTimeout
from sagakit.stores.sqlite import SqliteStore

SMALL = Sizes(sagas=50, concurrency=10, rounds=2, alone=5, asleep=20, idle_for=0.1, batches=(10, 20))
NUMBERS = (
    "sagas_per_s",
    "floor_sagas_per_s",
    "ratio",
    "latency_p50_ms",
    "latency_p99_ms",
    "cpu_ms_per_saga",
    "batch_items_per_s",
    "batch_cpu_us_per_item",
    "batch_growth",
    "idle_cpu_percent",
    "idle_memory_mb",
    "asleep_start_ms",
    "timer_late_ms",
)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are asked for, few are run."""
    whole = run.measure

    def measure(sizes: Sizes, db: str | None = None) -> Figures:
        wanted = {"sagas": sizes.sagas, "concurrency": sizes.concurrency, "history": sizes.history}
        return whole(msgspec.structs.replace(SMALL, **wanted), db)

    monkeypatch.setattr(run, "measure", measure)


@pytest.mark.usefixtures("small")
def test_writes_the_figures_and_shows_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.json"

    run_bench(sagas=50, concurrency=10, json_file=file)

    written = msgspec.json.decode(file.read_bytes())
    assert all(isinstance(written[name], float) for name in NUMBERS)
    assert all(written[name] > 0 for name in NUMBERS if name != "idle_cpu_percent")
    assert written["ratio"] == pytest.approx(
        written["sagas_per_s"] / written["floor_sagas_per_s"], rel=0.01, abs=0.0001
    )
    assert written["latency_p50_ms"] <= written["latency_p99_ms"]
    assert written["machine"].keys() == {"cpu", "cores", "os", "python"}
    assert written["versions"].keys() == {"sagakit", "apsw", "sqlite", "msgspec"}
    assert (written["sizes"]["sagas"], written["sizes"]["concurrency"], written["sizes"]["history"]) == (50, 10, 0)
    shown = capsys.readouterr()
    assert f"{written['ratio']:.3f}" in shown.out
    assert "50 sagas, 10 in flight" in shown.out
    assert "asleep" in shown.err


def test_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grounds.sqlite, "A_DISK", tmp_path)

    run.measure(SMALL)

    assert list(tmp_path.iterdir()) == []


def test_keeps_the_database_that_was_named(tmp_path: Path) -> None:
    run.measure(SMALL, f"sqlite:///{tmp_path}/kept.db")

    assert (tmp_path / "kept.db").exists()
    assert list(tmp_path.glob("*floor*")) == []


def test_runs_on_no_database_that_is_there_already(tmp_path: Path) -> None:
    there = tmp_path / "there.db"
    there.write_bytes(b"mine")

    with pytest.raises(BenchFailed, match="exists already"):
        run.measure(SMALL, str(there))

    assert there.read_bytes() == b"mine"


def test_runs_on_a_file_only() -> None:
    with pytest.raises(BenchFailed, match="no file"):
        run.measure(SMALL, "memory://")


async def test_a_log_is_filled_with_what_the_engine_would_have_left(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "long.db")
    await store.open()
    assert [written async for written in fill(store, 100)] == [108]
    await ended.check_ends(store, after=0, completed=12, compensated=0)
    await store.close()

    async with bench.engine(str(tmp_path / "long.db")) as engine:
        await load.run_many(engine, 10, 5)
        await ended.check_ends(engine.store, after=12, completed=9, compensated=1)


async def test_fails_when_a_saga_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "PATIENCE", 0.05)
    async with bench.engine("memory://", limits=Limits(stop_within=0.05)) as engine:
        handler = engine.topology.handlers[ConfirmOrder]
        confirm = handler.function
        object.__setattr__(handler, "function", lambda command: asyncio.Event().wait())
        try:
            with pytest.raises(WaitTimeout):
                await load.run_many(engine, 5, 5)
        finally:
            object.__setattr__(handler, "function", confirm)


async def test_fails_when_a_saga_ends_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "NOWHERE", "Utrecht")
    async with bench.engine("memory://") as engine:
        with pytest.raises(BenchFailed, match="ended with OrderConfirmed, not OrderCancelled"):
            await load.send_order(engine, new_order(0))


async def test_fails_when_the_store_says_otherwise() -> None:
    async with bench.engine("memory://") as engine:
        await load.run_many(engine, 10, 5)
        await ended.check_ends(engine.store, after=0, completed=9, compensated=1)
        with pytest.raises(BenchFailed, match="10 completed orders were to be in the store; there are 1 compensated"):
            await ended.check_ends(engine.store, after=0, completed=10, compensated=0)
        otherwise = (*ended.COMPLETED[:-1], "OrderShipped")
        with pytest.raises(BenchFailed, match=r"was to lead to .*OrderShipped; the log has .*OrderConfirmed"):
            await ended._check_story(engine.store, "completed", otherwise, 1)
