"""A disk that fails when a test says so: a layer of SQLite's own kind between it and the real files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import apsw

from sagakit.stores.sqlite import connection

SETTINGS = connection.SETTINGS


class FaultyDisk(apsw.VFS):
    """The default file layer while it is mounted. `fault` is SQLite's code for what fails, `operation` where."""

    def __init__(self) -> None:
        super().__init__("faulty-disk", "unix", makedefault=True)
        self.fault = 0
        self.operation = ""
        self.after = 0
        self.failed = 0

    def xOpen(self, name: Any, flags: Any) -> FaultyFile:  # noqa: N802
        return FaultyFile(self, name, flags)

    def breaks(self, operation: str, fault: int, after: int = 0) -> None:
        """From now on `operation` (sync, write or read) fails, once it was done `after` times more."""
        self.operation, self.fault, self.after = operation, fault, after

    def mend(self) -> None:
        self.fault = 0

    def unmount(self) -> None:
        connection.SETTINGS = SETTINGS
        self.unregister()

    def check(self, operation: str) -> None:
        if self.fault and operation == self.operation:
            self.after -= 1
            if self.after < 0:
                self.failed += 1
                raise apsw.exception_for(self.fault)


class FaultyFile(apsw.VFSFile):
    def __init__(self, disk: FaultyDisk, name: Any, flags: Any) -> None:
        super().__init__("unix", name, flags)
        self.disk = disk

    def excepthook(self, kind: Any, error: Any, trace: Any) -> None:
        """Say nothing: the error is the test's own."""

    def xSync(self, flags: int) -> None:  # noqa: N802
        self.disk.check("sync")
        super().xSync(flags)

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802
        self.disk.check("write")
        super().xWrite(data, offset)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        self.disk.check("read")
        return super().xRead(amount, offset)


@contextmanager
def mounted() -> Iterator[FaultyDisk]:
    """Every database opened inside lies on the faulty disk, until it is unmounted."""
    disk = FaultyDisk()
    connection.SETTINGS = {"locking_mode": "exclusive", **SETTINGS}  # such a layer has no shared memory
    try:
        yield disk
    finally:
        disk.unmount()
