"""What a service says of a command, where that is not simply one event."""

from __future__ import annotations

import msgspec
from msgspec import Struct

NOTHING = "sagakit.nothing"
"""The type of an outcome without an event."""
SEVERAL = "sagakit.outcome"
"""The type of an outcome of several events; its data is their array."""
FAILED = "sagakit.failed"
"""The type of an outcome that says why a command could not be done."""


class FailedPayload(Struct, frozen=True):
    """What a participant says that could not do a command."""

    reason: str
    known_not_done: bool = False


class OneEvent(Struct, frozen=True, omit_defaults=True):
    """One of the events of an outcome that has several."""

    type: str
    data: msgspec.Raw
    version: int = 1
