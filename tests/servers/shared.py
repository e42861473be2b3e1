"""One server for all test processes of a run.

A keeper process starts it, and ends it when the last process that uses it has gone, however that ended: each holds
the keeper's pipe open.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[2]


@contextmanager
def shared(name: str, folder: Path) -> Generator[str]:
    """The URL of the server that `tests.servers.<name>.running` starts, shared by all who give this folder."""
    ours = folder / f"server-{name}"
    ours.mkdir(exist_ok=True)
    with _locked(ours):
        pipe = _hold(ours)
        if pipe is None:
            _start_keeper(name, ours)
            pipe = _hold(ours)
            assert pipe is not None
        url = (ours / "url").read_text(encoding="utf-8")
    try:
        yield url
    finally:
        os.close(pipe)


@contextmanager
def _locked(folder: Path) -> Generator[None]:
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _hold(folder: Path) -> int | None:
    """The writing end of the keeper's pipe; None if there is no keeper."""
    try:
        return os.open(folder / "pipe", os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None


def _start_keeper(name: str, folder: Path) -> None:
    with (folder / "log").open("a") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "tests.servers.shared", name, str(folder)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    assert keeper.stdout is not None
    with keeper.stdout as said:
        if not said.readline():
            raise RuntimeError(f"no {name}: {(folder / 'log').read_text(encoding='utf-8')}")
    keeper.returncode = 0  # it outlives us: nobody waits for it


def keep(name: str, folder: Path) -> None:
    """Run the server until nobody holds the pipe any more."""
    pipe = folder / "pipe"
    pipe.unlink(missing_ok=True)
    with import_module(f"tests.servers.{name}").running(folder) as url:
        (folder / "url").write_text(url, encoding="utf-8")
        os.mkfifo(pipe)
        reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        print("ready", flush=True)
        os.set_blocking(reading, True)
        with pipe.open("rb") as held:  # waits until the first one holds it
            os.close(reading)
            while True:
                held.read()
                with _locked(folder):
                    # whoever came between the end and the lock holds it again
                    again = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
                    try:
                        os.read(again, 1)
                    except BlockingIOError:
                        continue
                    finally:
                        os.close(again)
                    pipe.unlink()
                    return


if __name__ == "__main__":
    keep(sys.argv[1], Path(sys.argv[2]))
