"""Workers under fire for a minute: nothing acknowledged is lost, and the auditor finds what is broken on purpose."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
LAST = re.compile(
    r"acknowledged=(\d+) settled=(\d+) lost=0 doubled=0 disordered=0 kills=(\d+) caught=3/3",
)


@pytest.mark.timeout(600)
def test_four_workers_under_fire() -> None:
    words = ["-m", "tests.chaos", "--seconds", "60", "--seed", "1"]
    ran = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    last = LAST.fullmatch(ran.stdout.splitlines()[-1])
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    assert last, ran.stdout
    acknowledged, settled, kills = map(int, last.groups())
    assert settled >= acknowledged > 50
    assert kills > 10
