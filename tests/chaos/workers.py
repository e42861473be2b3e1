"""Processes of `sagakit run`, each started anew whenever it has ended."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from tests.servers.ports import free_port

ROOT = Path(__file__).parents[2]
ORDERS = "tests.chaos.orders:app"
SHIPPING = "tests.chaos.shipping:app"
Words: TypeAlias = tuple[str, ...]


class Worker:
    """One process, on a port of its own."""

    def __init__(
        self, name: str, url: str, folder: Path, environment: Mapping[str, str], *, app: str = ORDERS, words: Words = ()
    ) -> None:
        self.name = name
        self.port = free_port()
        self._url = url
        self._app = app
        self._words = words
        self._log = folder / f"{name}.log"
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self.stopped = False
        """It was sent SIGSTOP."""
        self.starts = 0

    def start(self) -> None:
        """Start it; it is there when its port answers."""
        words = ("run", self._app, "--db", self._url, "--port", str(self.port), *self._words)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sagakit", *words],
                cwd=ROOT,
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.stopped, self.starts = False, self.starts + 1

    def see_to(self) -> None:
        """Start it anew if it has ended, by a signal or by itself."""
        if self._process is None or self._process.poll() is not None:
            self.start()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)
        self.stopped = number == signal.SIGSTOP or (self.stopped and number != signal.SIGCONT)

    def end(self) -> None:
        """Take it away."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @property
    def said(self) -> str:
        """The end of its log."""
        return self._log.read_text(errors="replace")[-2000:] if self._log.exists() else ""


@contextmanager
def started(*found: Worker) -> Generator[Sequence[Worker]]:
    """These run, until the context ends."""
    try:
        for one in found:
            one.start()
        yield found
    finally:
        for one in found:
            one.end()


def any_of(found: Sequence[Worker], chance: random.Random, *, stopped: bool) -> Worker | None:
    """One that is stopped, or one that is not; None if there is none."""
    those = [one for one in found if one.stopped == stopped]
    return chance.choice(those) if those else None
