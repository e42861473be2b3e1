"""What the running task handles, for those who log."""

from __future__ import annotations

from contextvars import ContextVar

from sagakit.core.commit import Delivery

HANDLED: ContextVar[tuple[Delivery, str] | None] = ContextVar("sagakit_handled", default=None)
"""The delivery, and the consumer that handles it."""
