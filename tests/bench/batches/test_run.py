"""The bench of batches measures what it says, and fails where a batch does not end as it must."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from sagakit.bench import run_batches
from sagakit.bench.batches import run as batches
from sagakit.bench.batches.group import CheckOutGroup, GroupCheckedOut, groups
from sagakit.bench.batches.run import measure_batches, run_batch, sizes_up_to
from sagakit.bench.sizes import BenchFailed


def test_ten_times_as_many_each_time() -> None:
    assert sizes_up_to(100_000) == [1_000, 10_000, 100_000]
    assert sizes_up_to(30_000) == [1_000, 10_000, 30_000]
    assert sizes_up_to(1_000) == [1_000]
    assert sizes_up_to(200) == [200]


async def test_batches_of_both_ways(tmp_path: Path) -> None:
    rounds = await measure_batches(str(tmp_path / "b.db"), (100, 300))
    assert [(one.way, one.items, one.rerun) for one in rounds] == [
        ("aggregates", 100, 1),
        ("aggregates", 300, 3),
        ("service", 100, 0),
        ("service", 300, 0),
    ]
    assert [one.history for one in rounds] == [4, 4, 2, 2]
    assert all(0 < one.state_bytes < 1_000 for one in rounds)


def test_the_figures_as_a_table_and_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.json"
    run_batches(100, file)
    (first, second) = msgspec.json.decode(file.read_bytes())["rounds"]
    assert (first["way"], second["way"], first["items"]) == ("aggregates", "service", 100)
    assert "CPU, US" in capsys.readouterr().out


async def test_fails_when_the_batch_ends_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "EVERY", 7)
    async with groups.engine("memory://") as engine:
        with pytest.raises(BenchFailed, match=r"85 were to be out and 15 not; there are 99 and \(0,\)"):
            await run_batch(engine, "aggregates", 100)


async def test_fails_when_the_rerun_does_not_help(monkeypatch: pytest.MonkeyPatch) -> None:
    async def settle(*_: object) -> None:
        """Nobody pays."""

    monkeypatch.setattr(batches, "_settle", settle)
    async with groups.engine("memory://") as engine:
        await engine.send_and_wait(CheckOutGroup("warm", 10, "service"), until=GroupCheckedOut, timeout=60)
        with pytest.raises(BenchFailed, match="after the re-run all 100 were to be out"):
            await run_batch(engine, "aggregates", 100)
