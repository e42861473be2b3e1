"""What is read from a topic, and to which door of the engine it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import msgspec

from sagakit.core.codec import Codec
from sagakit.errors import InvalidMessage, UnknownMessage
from sagakit.ports import Doors, Origin
from sagakit.transports.kafka.form.outcomes import NOTHING, SEVERAL, FailedPayload, OneEvent
from sagakit.transports.kafka.form.wire import WireMessage
from sagakit.transports.kafka.replies import address

_T = TypeVar("_T")


class Intake(Protocol):
    """One topic of a consumer."""

    @property
    def topic(self) -> str: ...

    def wants(self, message: WireMessage) -> bool:
        """Whether a message is for this one; others are passed over."""
        ...

    async def take(self, doors: Doors, scope: str, message: WireMessage) -> None:
        """Hand a message to its door; it is durable then. Raises what the door raises."""
        ...


@dataclass(frozen=True)
class Events:
    """Events of another module: published here. Those of other types are passed over."""

    topic: str
    codecs: Mapping[str, Codec]

    def wants(self, message: WireMessage) -> bool:
        return message.type in self.codecs

    async def take(self, doors: Doors, scope: str, message: WireMessage) -> None:
        event = self.codecs[message.type].decode(message.payload, message.version)
        await doors.publish(event, origin=origin_of(scope, message), trace=message.trace)


@dataclass(frozen=True)
class Commands:
    """Commands that this module handles for others. Their outcomes go where they want them."""

    topic: str
    codecs: Mapping[str, Codec]
    replier: str
    """The consumer that brings outcomes back."""

    def wants(self, message: WireMessage) -> bool:
        return True

    async def take(self, doors: Doors, scope: str, message: WireMessage) -> None:
        codec = self.codecs.get(message.type)
        if codec is None:
            raise UnknownMessage(f"no command {message.type!r} is handled here")
        command = codec.decode(message.payload, message.version)
        sender = None if message.reply_to is None else address(self.replier, message)
        await doors.send(command, origin=origin_of(scope, message, sender), trace=message.trace)


@dataclass(frozen=True)
class Answers:
    """What participants say of the commands that were sent to them, by whichever module of this app."""

    topic: str

    def wants(self, message: WireMessage) -> bool:
        return True

    async def take(self, doors: Doors, scope: str, message: WireMessage) -> None:
        command_id, correlation_id = message.causation_id, message.correlation_id
        if command_id is None or correlation_id is None:
            missing = "causation id" if command_id is None else "correlation id"
            raise InvalidMessage(f"the {missing} is missing: an answer carries those of its command")
        failed = _read(message, FailedPayload) if message.outcome == "failed" else None
        events = (
            () if failed else [doors.decode(one.type, bytes(one.data), version=one.version) for one in _led(message)]
        )
        await doors.answer(
            command_id,
            *events,
            correlation_id=correlation_id,
            failed=failed and failed.reason,
            known_not_done=failed is not None and failed.known_not_done,
            source=f"{scope} {message.source}",
            message_id=message.id,
            trace=message.trace,
            digest=message.digest,
        )


def _led(message: WireMessage) -> Sequence[OneEvent]:
    if message.type == NOTHING:
        return ()
    if message.type == SEVERAL:
        return _read(message, list[OneEvent])
    return (OneEvent(message.type, msgspec.Raw(message.payload), message.version),)


def origin_of(scope: str, message: WireMessage, sender: str | None = None) -> Origin:
    """Where a message comes from, as the engine keeps it."""
    return Origin(
        f"{scope} {message.source}",
        message.id,
        message.correlation_id or message.id,
        message.causation_id,
        message.undoes,
        sender,
        message.idempotency_key,
        message.digest,
    )


def _read(message: WireMessage, cls: type[_T]) -> _T:
    try:
        return msgspec.json.decode(message.payload, type=cls)
    except msgspec.DecodeError as error:
        raise InvalidMessage(f"{message.type}: {error}") from error
