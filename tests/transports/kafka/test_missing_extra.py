"""Without its library the part says in a line what to install; with it, the library is loaded when it is needed."""

from __future__ import annotations

import subprocess
import sys

MISSING = """
import sys
sys.modules["confluent_kafka"] = None
import sagakit
try:
    import sagakit.transports.kafka
except sagakit.TerminalError as error:
    print(error)
"""
DECLARED = """
import sys
from sagakit import Module
from sagakit.transports.kafka import Kafka
from dataclasses import dataclass
@dataclass(frozen=True)
class Paid:
    id: str
Kafka("kafka://localhost").publishes(Module("orders"), "orders", Paid, key="id")
print("confluent_kafka" in sys.modules)
"""


def said(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_what_is_missing_is_named() -> None:
    assert said(MISSING) == "Kafka needs an extra: pip install 'sagakit[kafka]'\n"


def test_declaring_loads_no_driver() -> None:
    assert said(DECLARED) == "False\n"
