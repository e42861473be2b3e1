"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import re
import resource
import shutil
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from msgspec import Struct

from sagakit.app.stores import open_store
from sagakit.bench.sizes import BenchFailed
from sagakit.stores.sqlite import SqliteStore
from sagakit.stores.sqlite.connection import sqlite_version

A_DISK = Path("/var/tmp")  # noqa: S108  where temporary files lie on a disk: elsewhere they may lie in memory

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


def versions() -> dict[str, str]:
    """Of the parts that the speed hangs on."""
    found = {name: version(name) for name in ("sagakit", "apsw", "msgspec")}
    return found | {"sqlite": sqlite_version()}


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


@contextmanager
def place(db: str | None) -> Generator[Path]:
    """A new database file; the floor's lies beside it, for the while."""
    if db is not None:
        file = _file_of(db)
        if file.exists():
            raise BenchFailed(f"{file} exists already: the bench makes a new one")
        try:
            yield file
        finally:
            for beside in ("floor", "batches"):
                for end in ("", "-wal", "-shm", "-lock", ".lock"):
                    file.with_name(f"{file.name}-{beside}{end}").unlink(missing_ok=True)
        return
    folder = Path(tempfile.mkdtemp(prefix="sagakit-bench-", dir=A_DISK if A_DISK.is_dir() else None))
    try:
        yield folder / "bench.db"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _file_of(db: str) -> Path:
    store = open_store(db)
    if not isinstance(store, SqliteStore):
        raise BenchFailed(f"{db} is no file: the bench runs on an SQLite file")
    return store.path
