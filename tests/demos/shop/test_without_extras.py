"""The shop in one process needs no extra."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
for name in ("grpc", "google", "google.protobuf", "confluent_kafka", "redis", "asyncpg"):
    sys.modules[name] = None
import sagakit.demos.shop.run
"""


def test_it_runs_without_them() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
