"""One seed is one run: it can be played again, to the last callback."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from sagakit.testing.simulation.run import simulate
from sagakit.testing.simulation.stage import Stage
from sagakit.testing.simulation.wanderers.subject import Wanderers

DIGESTS = """
from sagakit.testing.simulation.seeds import run_seeds
print(*(verdict.digest for verdict in run_seeds(range(1000, 1010))))
"""


ALONE, TOGETHER = (2, 3, 5, 8), (1, 4, 19)
"""Seeds with one engine at a time, and with several."""


def test_some_worlds_have_several_engines_at_once() -> None:
    assert {Stage(seed).profile.crew for seed in ALONE} == {1}
    assert all(Stage(seed).profile.crew > 1 for seed in TOGETHER)
    sizes = [Stage(seed).profile.crew for seed in range(300)]
    assert 60 < sum(size > 1 for size in sizes) < 140
    assert max(sizes) == 4


@pytest.mark.parametrize("seed", [*ALONE, *TOGETHER])
def test_a_seed_plays_again_exactly(seed: int) -> None:
    once = simulate(seed, Wanderers(), keep_trace=True)
    again = simulate(seed, Wanderers(), keep_trace=True)
    assert once.trace == again.trace
    assert once == again
    assert simulate(seed, Wanderers()).digest == once.digest


def test_another_seed_is_another_run() -> None:
    assert len({simulate(seed, Wanderers()).digest for seed in range(10)}) == 10


def test_no_hash_of_a_text_decides_anything() -> None:
    """Python draws the order of its sets anew for each process."""

    def digests(hashes: str) -> str:
        env = {**os.environ, "PYTHONHASHSEED": hashes}
        return subprocess.run(
            [sys.executable, "-c", DIGESTS], env=env, check=True, capture_output=True, text=True
        ).stdout

    assert digests("1") == digests("2") != ""
