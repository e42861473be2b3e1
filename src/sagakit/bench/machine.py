"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import re
import resource
import sys
from importlib.metadata import version
from pathlib import Path

from msgspec import Struct

from sagakit.bench.grounds import Ground

MEBIBYTE = 1 << 20


class Machine(Struct, frozen=True):
    """The computer and its system."""

    cpu: str
    cores: int
    os: str
    python: str


def machine() -> Machine:
    """This one."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return Machine(_cpu(), _cores(), f"{platform.system()} {platform.release()}", python)


def versions(ground: Ground) -> dict[str, str]:
    """Of the parts that the speed hangs on."""
    return {name: version(name) for name in ("sagakit", "msgspec")} | dict(ground.versions)


def memory_mb() -> float:
    """What this process holds in memory now (its most so far, where the system does not tell)."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / MEBIBYTE
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most / (MEBIBYTE if sys.platform == "darwin" else 1024)


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu() -> str:
    try:
        named = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        named = None
    return named[1].strip() if named else platform.processor() or platform.machine()
