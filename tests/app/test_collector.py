"""While an engine runs, Python searches for garbage less often; what somebody has chosen stays."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from sagakit import App
from sagakit.app.collector import CALM


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


@pytest.mark.parametrize("pythons_own", [(700, 10, 10), (2000, 10, 0)])
async def test_less_often_while_an_engine_runs(pythons_own: tuple[int, int, int]) -> None:
    gc.set_threshold(*pythons_own)
    async with App("one").engine("memory://"):
        assert gc.get_threshold() == (CALM, *pythons_own[1:])
        async with App("two").engine("memory://"):
            assert gc.get_threshold()[0] == CALM
        assert gc.get_threshold()[0] == CALM
    assert gc.get_threshold() == pythons_own


@pytest.mark.parametrize("chosen", [(0, 10, 10), (50_000, 20, 20), (5, 5, 5)])
async def test_what_was_chosen_stays(chosen: tuple[int, int, int]) -> None:
    gc.set_threshold(*chosen)
    async with App("one").engine("memory://"):
        assert gc.get_threshold() == chosen
    assert gc.get_threshold() == chosen


async def test_what_is_chosen_meanwhile_stays() -> None:
    gc.set_threshold(700, 10, 10)
    async with App("one").engine("memory://"):
        gc.set_threshold(60_000, 10, 10)
    assert gc.get_threshold() == (60_000, 10, 10)
