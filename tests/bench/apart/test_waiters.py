"""What waits costs nothing that can be measured in a moment; the measuring itself works."""

from __future__ import annotations

from pathlib import Path

from sagakit.bench.apart.waiters import measure_here


async def test_measures_those_who_wait(tmp_path: Path) -> None:
    found = await measure_here(str(tmp_path / "bench.db"), 20, 0.1)
    assert found.count == 20
    assert found.told_ms > 0
    assert found.memory_kb_each >= 0
