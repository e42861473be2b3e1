"""What a worker knows of the process that has started it, by its environment."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

NAME = "SAGAKIT_WORKER"
"""The worker's name."""
DOOR = "SAGAKIT_WORKER_DOOR"
"""The file descriptor of the socket that all workers answer at."""
LIFE = "SAGAKIT_WORKER_LIFE"
"""The file descriptor of a pipe that ends when the supervisor does."""
READY = "SAGAKIT_WORKER_READY"
"""The file descriptor to which a worker writes a byte once it runs."""


@dataclass(frozen=True)
class Child:
    """A worker that a supervisor has started."""

    name: str
    door: int
    life: int
    ready: int

    def environment(self) -> dict[str, str]:
        """What it is told by."""
        return {NAME: self.name, DOOR: str(self.door), LIFE: str(self.life), READY: str(self.ready)}

    def socket(self) -> socket.socket:
        """Where all workers answer."""
        return socket.socket(fileno=os.dup(self.door))

    def tell_ready(self) -> None:
        """The supervisor may go on: this worker runs."""
        os.write(self.ready, b"!")
        os.close(self.ready)

    def stops_with_supervisor(self, told: asyncio.Event) -> None:
        """Set an event when the supervisor is gone, whatever ended it."""
        loop = asyncio.get_running_loop()

        def ended() -> None:
            loop.remove_reader(self.life)
            told.set()

        loop.add_reader(self.life, ended)


def child_of(environment: Mapping[str, str]) -> Child | None:
    """This process as a supervisor's worker; None if nobody has started it as one."""
    if NAME not in environment:
        return None
    return Child(environment[NAME], *(int(environment[one]) for one in (DOOR, LIFE, READY)))
