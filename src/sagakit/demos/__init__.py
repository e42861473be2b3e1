"""Whole small businesses on sagakit: what `sagakit demo` runs."""

from __future__ import annotations

import os
from pathlib import Path


def database_of(demo: str) -> Path:
    """Where a demo keeps its database unless it is told: with this user's data, so that it outlives any folder."""
    data = os.environ.get("XDG_DATA_HOME", "")
    folder = Path(data) if Path(data).is_absolute() else Path.home() / ".local" / "share"
    return folder / "sagakit" / f"{demo}.db"
