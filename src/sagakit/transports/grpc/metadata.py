"""What travels beside a request and its answer: the names on the wire, made of a handler's context and read back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from sagakit.engine.handlers.context import Context

Metadata: TypeAlias = Mapping[str, str | bytes]
"""By name, in lower case. A name that ends in `-bin` has bytes; all other values are visible ASCII."""

REQUEST_ID = "x-request-id"
IDEMPOTENCY_KEY = "x-idempotency-key"
CORRELATION_ID = "x-correlation-id"
CAUSATION_ID = "x-causation-id"
UNDOES = "x-undoes"
TRACEPARENT = "traceparent"
PUSHBACK = "grpc-retry-pushback-ms"

LONGEST = 255
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def sent_with(context: Context) -> list[tuple[str, str | bytes]]:
    """What a call says of the command that it carries."""
    named = {
        REQUEST_ID: f"{context.message_id}.{context.attempt}",  # each attempt is a request of its own
        IDEMPOTENCY_KEY: context.idempotency_key,
        CORRELATION_ID: context.correlation_id,
        CAUSATION_ID: context.causation_id,
        UNDOES: context.undoes,
        TRACEPARENT: context.trace,
    }
    return [(name, value) for name, value in named.items() if value]


def as_mapping(pairs: Iterable[tuple[str, str | bytes]] | None) -> Metadata:
    """Metadata by name; of several values of one name the first counts."""
    found: dict[str, str | bytes] = {}
    for name, value in pairs or ():
        found.setdefault(name, value)
    return found


def plain(metadata: Metadata, name: str) -> str | None:
    """A value as text; None if there is none, or one that is empty, or too long to be an id."""
    value = metadata.get(name)
    return value if isinstance(value, str) and 0 < len(value) <= LONGEST else None


def trace_of(metadata: Metadata) -> str | None:
    """The W3C traceparent; None if there is none, or one that is not valid: it is to be ignored then."""
    value = plain(metadata, TRACEPARENT)
    return value if value is not None and _TRACEPARENT.fullmatch(value) else None


def text_value(name: str, text: str) -> tuple[str, bytes]:
    """Any text as a metadatum: its name gets the ending that lets it have other than ASCII."""
    return f"{name}-bin", text.encode()


def text_of(metadata: Metadata, name: str) -> str:
    """The text that `text_value` has sent under this name; "" if there is none."""
    value = metadata.get(f"{name}-bin", b"")
    return value.decode(errors="replace") if isinstance(value, bytes) else ""
