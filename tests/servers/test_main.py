"""A command with a server of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
LOOK = "import sys, psycopg; print(psycopg.connect(sys.argv[1]).execute('SELECT 6 * 7').fetchone()); sys.exit(3)"


def test_a_command_gets_the_url_of_a_server() -> None:
    words = ["-m", "tests.servers", "postgresql", "--", sys.executable, "-c", LOOK, "{url}"]
    ran = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.returncode) == ("(42,)\n", 3), ran.stderr


def test_an_unknown_kind_is_refused() -> None:
    words = ["-m", "tests.servers", "oracle", "--", "true"]
    ran = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "oracle" in ran.stderr
