"""Who is expelled, and by whom: nobody by one who was late himself."""

from __future__ import annotations

from typing import Any

import pytest

from sagakit.engine.workers.owning.heart import Pulse
from sagakit.errors import StoreFailed

BEATS, EVERY = 4, 1.25


class Others:
    """A cluster in which somebody's lease has always expired; renewing may take long, or fail."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.takes = 0.0
        self.fails = False
        self.expels = 0

    async def renew(self) -> list[Any]:
        self.now += self.takes
        if self.fails:
            raise StoreFailed("no server")
        return []

    async def expel_expired(self) -> list[str]:
        self.expels += 1
        return ["another"]


class Beating:
    def __init__(self) -> None:
        self.others = Others()
        cluster: Any = self.others
        self.pulse = Pulse(cluster, BEATS, EVERY, lambda: self.others.now)

    async def beats(self, count: int, after: float = EVERY) -> list[bool]:
        """Whether each expels somebody."""
        found: list[bool] = []
        for _ in range(count):
            self.others.now += after
            _, expelled = await self.pulse.beat()
            found.append(bool(expelled))
        return found


async def test_whoever_has_beaten_for_a_lease_expels() -> None:
    assert await Beating().beats(6) == [False] * 4 + [True] * 2


@pytest.mark.parametrize("asleep", [3 * EVERY, 60.0])
async def test_whoever_stood_still_gives_the_others_on_his_machine_time(asleep: float) -> None:
    beating = Beating()
    await beating.beats(4)
    assert await beating.beats(1, asleep) == [False]
    assert await beating.beats(5) == [False] * 3 + [True] * 2


async def test_a_store_that_stood_still_is_nobodys_fault() -> None:
    beating = Beating()
    await beating.beats(4)
    beating.others.takes = 3.0
    assert await beating.beats(1) == [False]
    beating.others.takes = 0.0
    assert await beating.beats(5) == [False] * 3 + [True] * 2


async def test_a_beat_that_is_a_little_late_expels_all_the_same() -> None:
    beating = Beating()
    await beating.beats(4)
    assert await beating.beats(3, 2 * EVERY) == [True] * 3


async def test_a_store_that_was_away_is_nobodys_fault_either() -> None:
    beating = Beating()
    await beating.beats(4)
    beating.others.fails = True
    with pytest.raises(StoreFailed):
        await beating.beats(1)
    beating.others.fails = False
    assert await beating.beats(5) == [False] * 4 + [True]
