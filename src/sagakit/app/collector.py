"""Python's search for garbage that refers to itself, begun less often while an engine runs."""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager

PYTHONS_OWN = (700, 2000)
"""New objects after which Python searches, unless somebody has chosen otherwise (by its version)."""
CALM = 10_000
"""While an engine runs: what is in flight is more than Python's own number, and searching it again and again, in vain,
costs a quarter of the speed and the longest pauses."""


@contextmanager
def searched_less() -> Generator[None]:
    """Search less often in this context. What somebody has chosen stays."""
    before = gc.get_threshold()
    if before[0] not in PYTHONS_OWN:
        yield
        return
    gc.set_threshold(CALM, *before[1:])
    try:
        yield
    finally:
        if gc.get_threshold()[0] == CALM:
            gc.set_threshold(*before)
