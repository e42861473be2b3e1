"""The ways into an engine, and what brings messages to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol, runtime_checkable

from sagakit.core.messages import Message, Seconds


class Receipt(NamedTuple):
    """What an accepted message is known by."""

    message_id: str
    correlation_id: str
    repeated: bool = False
    """The idempotency key had come before: this is the first answer again."""


@dataclass(frozen=True)
class Origin:
    """Where a message of another service comes from: it keeps its id and its story, and repeats of it are dropped."""

    source: str
    """Through which door it came, and from whom: the inbox remembers `message_id` by it."""
    message_id: str
    correlation_id: str
    causation_id: str | None = None
    undoes: str | None = None
    """The id of the command that it undoes: what is left to do of that is taken back, and refused if it comes later."""
    sender: str | None = None
    """The lane of the consumer that is told its outcome."""
    key: str | None = None
    """What the inbox remembers it by, where that is not its id."""
    digest: str | None = None
    """Of the bytes that it came in: with these again it is a repeat, whatever this code reads in them."""


class Doors(Protocol):
    """The ways into an engine, for what brings messages from outside. Each returns once they are durable."""

    async def send(
        self,
        command: Message,
        *,
        idempotency_key: str | None = None,
        digest: str | None = None,
        trace: str | None = None,
        after: Seconds | None = None,
        at: datetime | None = None,
        origin: Origin | None = None,
    ) -> Receipt:
        """Accept a command; one of another service (`origin`) as that has made it."""
        ...

    async def publish(
        self,
        event: Message,
        *,
        idempotency_key: str | None = None,
        trace: str | None = None,
        origin: Origin | None = None,
    ) -> Receipt:
        """Record an event for whoever takes it; one of another service (`origin`) as that has made it."""
        ...

    async def answer(
        self,
        command_id: str,
        *events: Message,
        correlation_id: str,
        failed: str | None = None,
        known_not_done: bool = False,
        source: str = "",
        message_id: str | None = None,
        trace: str | None = None,
        digest: str | None = None,
    ) -> Receipt:
        """Record the outcome of a command that was handed over. Raises NotFound, NotPossible, KeyReused."""
        ...

    def decode(self, type: str, payload: bytes, *, version: int | None = None) -> Message:
        """The message of a wire name and its payload (`version`: None for the newest). Raises UnknownMessage and
        InvalidMessage."""
        ...


class Link(Protocol):
    """What runs beside an engine and brings messages to its doors: a consumer of a broker, say."""

    @property
    def name(self) -> str: ...

    async def run(self, doors: Doors) -> None:
        """Bring messages in, until it is cancelled. One that returns or raises is run again after a while."""
        ...

    def ready(self) -> str | None:
        """None if messages come in; else what stands in the way. It keeps the engine from nothing."""
        ...


@runtime_checkable
class Behind(Protocol):
    """A link that knows how much waits where it reads."""

    def behind(self) -> Mapping[tuple[str, str], int]:
        """Records that are not durable here yet, by topic and by the group that shares it."""
        ...
