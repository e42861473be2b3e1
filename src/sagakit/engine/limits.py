"""How much an engine takes on at once."""

from __future__ import annotations

from dataclasses import dataclass

from sagakit.core.codec import MEBIBYTE


@dataclass(frozen=True)
class Limits:
    """Bounds of one engine. The defaults suit a process of its own on a small machine."""

    unfinished: int = 20_000
    """Accepted, unfinished deliveries; past it the doors refuse with Busy."""
    at_once: int = 1_000
    """Handlers that wait for something at the same time."""
    threads: int = 32
    """Plain `def` handlers at the same time."""
    cached: int = 2_000
    """Idle aggregates and process instances kept in memory."""
    run: int = 100
    """Deliveries of one lane that are folded and committed together."""
    page: int = 1_000
    """Deliveries read at once when the engine starts."""
    payload: int = MEBIBYTE
    """Bytes of one message."""
    stop_within: float = 10.0
    """Seconds that a stop waits for what runs."""
    leave_unclaimed: bool = False
    """Start although nobody claims some messages: they wait, readiness names them, and an operator may drop them."""
    lease: float = 5.0
    """Seconds that a worker on a shared store is taken for alive without a sign of life."""
    hand_over_within: float = 10.0
    """Seconds that what runs has to end where its partition goes to another worker; then it is cancelled."""
