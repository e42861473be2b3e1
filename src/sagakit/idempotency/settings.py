"""How long things are kept and waited for."""

from __future__ import annotations

from dataclasses import dataclass

KIBIBYTE = 1024


@dataclass(frozen=True)
class Settings:
    """The settings of the fast path. Times are in seconds."""

    keep: float = 24 * 3600
    """So long the copy of an answer is kept. The store remembers the key for longer."""
    lease: float = 5.0
    """So long a claim holds whose holder is gone: less than a client waits for its answer."""
    patience: float = 0.05
    """So long in all a request waits for the server."""
    failures: int = 3
    """After so many calls in a row that failed, the server is left alone."""
    rest: float = 2.0
    """So long it is left alone, until one probe, for which nobody waits."""
    connections: int = 32
    near_bytes: int = 16 * KIBIBYTE * KIBIBYTE
    """The bound of the copies in this process's memory."""
    longest: int = 64 * KIBIBYTE
    """An answer of more bytes is not copied."""

    def __post_init__(self) -> None:
        for name in ("keep", "lease", "patience", "rest", "failures", "connections"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it has to be above 0")
