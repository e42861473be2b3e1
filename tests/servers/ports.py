"""Ports for what must come back at the port that it had."""

from __future__ import annotations

import random
import socket

RANGE = range(15_000, 32_000)
"""Below those that a system gives to whoever asks for any: nobody takes one while its server is away."""


def free_port() -> int:
    """One that is free now."""
    chance = random.SystemRandom()
    while True:
        port = chance.choice(RANGE)
        with socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
