"""`make simulate`: its last line, and the code it exits with."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sagakit.testing.simulation.seeds import BROKEN, Totals
from sagakit.testing.simulation.stage import Finding, Stage
from sagakit.testing.simulation.wanderers.subject import Wanderers

ROOT = Path(__file__).parents[3]
LAST = re.compile(
    r"seeds=2 instances=\d+ crashes=\d+ acknowledged=\d+ lost=1 doubled=0 unsettled=0 "
    rf"caught={len(BROKEN)}/{len(BROKEN)}"
)


class Lossy(Wanderers):
    """An app of which something is always missing."""

    name = "lossy"

    def audit(self, stage: Stage) -> Iterator[Finding]:
        yield Finding("lost", 1, "the cat")


LOSSY = Lossy()


@pytest.mark.long
@pytest.mark.timeout(900)  # every broken engine is tried
def test_what_is_found_fails_and_says_how_to_play_it_again() -> None:
    command = [sys.executable, "-m", "sagakit.testing.simulation", "--seeds", "2", "--seed", "6", "--with"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(["src", "."])}
    done = subprocess.run(
        [*command, f"{__name__}:LOSSY"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=800, check=False
    )
    assert done.returncode == 1, done.stderr
    *told, last = done.stdout.splitlines()
    assert told == ["seed 7 (lossy): make simulate SEED=7", "  lost, promise 1: the cat"]
    assert LAST.fullmatch(last)


def test_a_broken_engine_that_is_not_caught_fails() -> None:
    assert Totals(seeds=5, caught=3, broken=3).fine
    assert not Totals(seeds=5, caught=2, broken=3).fine
    assert not Totals(seeds=5, failed=1, caught=3, broken=3).fine
