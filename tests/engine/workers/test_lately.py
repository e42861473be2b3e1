from __future__ import annotations

from sagakit.engine.workers.lately import Lately


def test_the_last_are_kept_and_the_oldest_forgotten() -> None:
    lately = Lately(10)
    for number in range(100):
        lately.add([f"id-{number}"])
        assert all(f"id-{one}" in lately for one in range(max(0, number - 9), number + 1))
    assert sum(f"id-{number}" in lately for number in range(100)) <= 2 * 10 + 1
    assert "id-0" not in lately
