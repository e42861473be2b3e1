"""Places in a trace: W3C traceparents, and ids that are derived, so that a second run names the same span."""

from __future__ import annotations

from hashlib import blake2b
from random import getrandbits
from typing import NamedTuple

_ODD = frozenset("13579bdf")
"""The last digit of a traceparent whose story is sampled."""


class Place(NamedTuple):
    """A span, as those below it know it."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 hexadecimal digits."""
    sampled: bool = True

    def text(self) -> str:
        """As a W3C traceparent."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


def is_sampled(trace: str | None) -> bool:
    """Whether the story of this traceparent is traced."""
    return trace is not None and trace[-1:] in _ODD


def place_of(trace: str | None) -> Place | None:
    """The span that a traceparent names; None if there is none, or it is none."""
    parts = trace.split("-") if trace else ()
    if len(parts) < 4 or len(parts[1]) != 32 or len(parts[2]) != 16:
        return None
    return Place(parts[1], parts[2], is_sampled(trace))


def new_trace_id() -> str:
    """Of a story that brings none along. All digits are random: samplers go by the last ones."""
    return f"{getrandbits(128) or 1:032x}"


def span_id_of(*parts: str) -> str:
    """The id of the span of what these words name."""
    return blake2b("|".join(parts).encode(), digest_size=8).hexdigest()


def trace_id_of(*parts: str) -> str:
    """The id of the trace that goes on with what these words name."""
    return blake2b("|".join(parts).encode(), digest_size=16).hexdigest()
