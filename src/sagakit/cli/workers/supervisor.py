"""Keeps N worker processes of one app running: starts them, starts anew what has died, stops them in order."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence

import structlog

from sagakit.cli.workers.child import Child

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds before a worker that has died is started anew; twice as long each time."""
LIVED = 60.0
"""Seconds after which one has lived long enough for the pauses to begin anew."""
START_WITHIN = 60.0
"""Seconds that a restart of all waits for each new worker before it goes on to the next one."""

_log = structlog.get_logger("sagakit.supervisor")


class Slot:
    """One worker: process after process under one name."""

    def __init__(
        self, name: str, command: Sequence[str], door: socket.socket, life: int, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self._command = command
        self._environment = environment
        self._door = door
        self._life = life
        self.process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self.ready = asyncio.Event()
        self._restart = False
        self._wake = asyncio.Event()

    async def keep(self) -> None:
        """Run until told to stop, and start anew whatever else ends it."""
        pause, loop = FIRST_PAUSE, asyncio.get_running_loop()
        while not self._stopping:
            began = loop.time()
            code = await self._run()
            if self._stopping:
                return
            if self._restart:
                self._restart, pause = False, FIRST_PAUSE
                continue
            pause = FIRST_PAUSE if loop.time() - began > LIVED else pause
            _log.warning("a worker has ended; it is started anew", worker=self.name, code=code, in_seconds=pause)
            await self._wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _wait(self, pause: float) -> None:
        self._wake.clear()
        try:
            await asyncio.wait_for(self._wake.wait(), pause)
        except TimeoutError:
            return

    async def _run(self) -> int:
        reading, writing = os.pipe()
        child = Child(self.name, self._door.fileno(), self._life, writing)
        try:
            self.process = await asyncio.create_subprocess_exec(
                *self._command,
                env={**os.environ, **self._environment, **child.environment()},
                pass_fds=(child.door, child.life, child.ready),
                start_new_session=True,  # Ctrl-C is for the supervisor, which stops them in order
            )
        finally:
            os.close(writing)
        self.ready.clear()
        asyncio.get_running_loop().add_reader(reading, self._told, reading)
        code = await self.process.wait()
        self._told(reading)
        self.process = None
        return code

    def _told(self, reading: int) -> None:
        """It runs, or has ended before it did."""
        if asyncio.get_running_loop().remove_reader(reading):
            os.close(reading)
            self.ready.set()

    def stop(self) -> None:
        """End it in order, for good."""
        self._stopping = True
        self._wake.set()
        self.send(signal.SIGTERM)

    async def restart(self) -> None:
        """End it in order, and return once the next one runs, or cannot."""
        self._restart = True
        self.ready.clear()
        self._wake.set()
        self.send(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.ready.wait(), START_WITHIN)
        except TimeoutError:
            _log.error("a worker does not come up", worker=self.name)

    def send(self, number: signal.Signals) -> None:
        """Give its process a signal, if it has one."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)


class Supervisor:
    """All workers of one `sagakit run --workers N`."""

    def __init__(self, count: int, words: Sequence[str], door: socket.socket, environment: Mapping[str, str]) -> None:
        self._life, self._held = os.pipe()
        host = socket.gethostname()
        command = (sys.executable, "-m", "sagakit", *words)
        port = door.getsockname()[1]
        names = (f"{host}:{port}/{number + 1}" for number in range(count))
        self._slots = [Slot(name, command, door, self._life, environment) for name in names]
        self._restarting: asyncio.Task[None] | None = None
        self._stopping = False

    async def run(self) -> None:
        """Keep them until SIGTERM or SIGINT; SIGHUP restarts them one after another."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._restart)
        try:
            await asyncio.gather(*(slot.keep() for slot in self._slots))
        finally:
            os.close(self._held)
            os.close(self._life)

    def _stop(self, number: signal.Signals) -> None:
        if self._stopping and number == signal.SIGINT:  # an impatient Ctrl-C
            for slot in self._slots:
                slot.send(signal.SIGKILL)
        self._stopping = True
        if self._restarting is not None:
            self._restarting.cancel()
        for slot in self._slots:
            slot.stop()

    def _restart(self) -> None:
        if not self._stopping and (self._restarting is None or self._restarting.done()):
            self._restarting = asyncio.create_task(self._restart_all(), name="sagakit restart")

    async def _restart_all(self) -> None:
        for slot in self._slots:
            _log.info("restarting a worker", worker=slot.name)
            await slot.restart()
