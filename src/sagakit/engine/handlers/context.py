"""What a handler may ask for besides its message."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from sagakit.core.commit import Delivery, Envelope
from sagakit.core.decider import Decider, Loaded
from sagakit.core.display import log_fields
from sagakit.core.messages import stable_id

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

_A = TypeVar("_A", bound=Decider)


class Context:
    """The message being handled, beside its payload."""

    def __init__(
        self,
        delivery: Delivery,
        load: Callable[[type[Any], object, Envelope], Awaitable[Loaded[Any]]],
        timeout: float | None = None,
        trace: str | None = None,
    ) -> None:
        envelope = delivery.envelope
        self.message_id = envelope.id
        self.idempotency_key = envelope.id
        """The same at every attempt: send it along to whoever must not do this twice."""
        self.correlation_id = envelope.correlation_id
        self.causation_id = envelope.causation_id
        """The id of the message that led to this one; None: it came from outside."""
        self.trace = trace or envelope.trace
        """The W3C traceparent for outgoing calls: of this run where it is traced, else the one that it came with."""
        self.attempt = delivery.attempt
        """From 1."""
        self.undoes: str | None = envelope.undoes or None
        """The id of the command that this command undoes."""
        self.timeout = timeout
        """Seconds that this attempt may take, by the handler's declaration; None: no limit."""
        self.lane = delivery.lane
        """What is of one lane is handled one at a time, in order."""
        self._envelope = envelope
        self._more = delivery.more
        self._load = load

    @property
    def recorded_at(self) -> datetime:
        """When the message entered the log (UTC)."""
        return datetime.fromtimestamp(self._envelope.recorded_at / 1_000_000, UTC)

    @property
    def message_type(self) -> str:
        """The message's name on the wire."""
        return self._envelope.type

    @property
    def message_version(self) -> int:
        """The version of the payload: of the code that has recorded it, which may be older than this."""
        return self._envelope.version

    @property
    def payload(self) -> bytes:
        """The message as the log holds it: JSON."""
        return self._envelope.payload

    @property
    def outcome(self) -> tuple[Envelope, ...]:
        """Where this is the outcome of a command: all its messages."""
        return (self._envelope, *self._more)

    @property
    def log(self) -> FilteringBoundLogger:
        """A logger that names the message."""
        return structlog.get_logger("sagakit.handler").bind(**log_fields(self._envelope))

    async def load(self, aggregate: type[_A], key: object) -> Loaded[_A]:
        """An aggregate of this app; where the message is an event of that very stream, as it stood at the event.

        Raises NotFound if it has no event yet.
        """
        return await self._load(aggregate, key, self._envelope)

    def key(self, name: str) -> str:
        """An idempotency key for one of several outside calls of this handling."""
        return stable_id(self.message_id, name)
