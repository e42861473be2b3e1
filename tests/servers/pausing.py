"""A server that hangs."""

from __future__ import annotations

import os
import signal
import subprocess


def pause(process: subprocess.Popen[bytes]) -> None:
    """SIGSTOP, and wait until the last of its threads stands still: on a busy machine some go on for a while."""
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
