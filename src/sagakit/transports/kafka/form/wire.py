"""What a message is on a topic: a record, and what it says. A format turns one into the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, Protocol, TypeAlias

from sagakit.errors import TerminalError

Headers: TypeAlias = Sequence[tuple[str, bytes | None]]
Outcome: TypeAlias = Literal["declared", "failed"]


@dataclass(frozen=True, kw_only=True)
class WireMessage:
    """A message between services, whatever its form on the topic."""

    id: str
    """The same at every repeat: whoever receives it drops what it has seen."""
    type: str
    """Its name on the wire."""
    payload: bytes
    """JSON."""
    source: str
    """Who has made it: with `id` it is unique."""
    version: int = 1
    key: str | None = None
    """What has one key stays in order."""
    time: int | None = None
    """When it was recorded: microseconds since 1970 (UTC)."""
    correlation_id: str | None = None
    causation_id: str | None = None
    """Of an outcome: the id of the command that it answers."""
    undoes: str | None = None
    """The id of the command that this command undoes."""
    idempotency_key: str | None = None
    trace: str | None = None
    """A W3C traceparent."""
    reply_to: str | None = None
    """The topic where the outcome of this command is awaited."""
    outcome: Outcome | None = None
    """Whether it is a declared outcome of its command, or says that the command failed; None: it answers none."""

    @property
    def digest(self) -> str:
        """Of its bytes, as what they are: the same at every repeat."""
        return f"{self.type} {blake2b(self.payload, digest_size=16).hexdigest()}"


@dataclass(frozen=True)
class Record:
    """A record of a topic."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    partition: int = -1
    offset: int = -1
    timestamp: int | None = None
    """Milliseconds since 1970, as the topic has it."""

    @property
    def place(self) -> str:
        """Where it is, in words."""
        return f"{self.topic}[{self.partition}]@{self.offset}" if self.offset >= 0 else self.topic


class InvalidRecord(TerminalError):
    """A record that cannot be read; the text names its topic, partition and offset, and the header."""

    def __init__(self, record: Record, what: str, why: str) -> None:
        super().__init__(f"{record.place}: {what} {why}")
        self.what = what


class Format(Protocol):
    """A form of messages on a topic."""

    def write(self, topic: str, message: WireMessage) -> Record:
        """The record of a message."""
        ...

    def read(self, record: Record) -> WireMessage:
        """The message of a record. Raises InvalidRecord."""
        ...
