"""What the messages on the wire have no field for goes along beside them: who knows nothing of it misses nothing."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from sagakit.transports.grpc import Metadata

ORDER_ID = "x-order-id"
"""The id that a new order is to have; without it the service makes one of the idempotency key."""
REASON = "x-reason"
OUTCOME = "x-outcome-bin"
MOST = 4096
"""Bytes: metadata have a limit of their own, and what is longer stays at home."""

_E = TypeVar("_E")


def outcome(event: object) -> tuple[tuple[str, bytes], ...]:
    """The whole of an outcome, as trailing metadata."""
    text = msgspec.json.encode(event)
    return ((OUTCOME, text),) if len(text) <= MOST else ()


def read_outcome(metadata: Metadata, otherwise: _E) -> _E:
    """The whole of an outcome; what the answer itself says, if the service said no more."""
    sent = metadata.get(OUTCOME)
    try:
        return otherwise if sent is None else msgspec.json.decode(sent, type=type(otherwise))
    except (msgspec.DecodeError, msgspec.ValidationError):
        return otherwise
