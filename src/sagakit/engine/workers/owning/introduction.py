"""What a worker says of itself to people: where it runs, and what."""

from __future__ import annotations

import os
import socket
from importlib.metadata import PackageNotFoundError, version

from sagakit.core.cluster.members import Worker


def introduce(me: Worker, app: str) -> None:
    """Fill in what nobody has said of it yet."""
    me.host, me.pid = me.host or socket.gethostname(), me.pid or os.getpid()
    me.app, me.versions = app, me.versions or _versions()


def _versions() -> str:
    try:
        return f"sagakit {version('sagakit')}"
    except PackageNotFoundError:
        return "sagakit"
