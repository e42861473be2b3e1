"""Hundreds of seeds keep every promise, and every engine that is broken on purpose is caught."""

from __future__ import annotations

import pytest

from sagakit.testing.simulation.seeds import BROKEN, WITHIN, Totals, catch, run_seeds

SEEDS = 240
CHUNK = 20


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_every_promise_is_kept(first: int) -> None:
    totals = Totals()
    for verdict in run_seeds(range(first, first + CHUNK)):
        assert not verdict.findings, f"make simulate SEED={verdict.seed}"
        totals.add(verdict)
    assert totals.instances > 10 * CHUNK
    assert totals.acknowledged > totals.instances
    assert totals.crashes


@pytest.mark.long
@pytest.mark.parametrize("number", range(len(BROKEN)), ids=lambda number: BROKEN[number].name)
def test_a_broken_engine_is_caught(number: int) -> None:
    caught = catch(number)
    assert caught.seed is not None
    assert caught.seed < WITHIN


def test_every_promise_has_a_broken_engine() -> None:
    assert {broken.promise for broken in BROKEN} == set(range(1, 9))
