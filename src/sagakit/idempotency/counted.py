"""What the fast path has done: plain numbers for whoever measures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Counted:
    """Each counts from the start of the process, but the last."""

    near: int = 0
    """Answered from this process's memory."""
    shared: int = 0
    """Answered from the server's copy."""
    store: int = 0
    """Asked of the store."""
    in_flight: int = 0
    """Refused: the first request with the key was still being accepted."""
    distrusted: int = 0
    """What the server said was not believed."""
    failed: int = 0
    """Calls to the server that failed or took too long."""
    skipped: int = 0
    """Calls that were not made, as the server was left alone."""
    opened: int = 0
    """Times that the breaker opened."""
    left_alone: bool = False
    """Whether the breaker is open now, or probes."""
