"""Without its libraries the part says in a line what to install."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
sys.modules["grpc"] = None
import sagakit
try:
    import sagakit.transports.grpc
except sagakit.TerminalError as error:
    print(error)
"""


def test_what_is_missing_is_named() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout == "gRPC needs an extra: pip install 'sagakit[grpc]'\n"
