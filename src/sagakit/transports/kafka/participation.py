"""A participant over Kafka: a service that reads commands, does their work, and answers with what they led to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import msgspec

from sagakit.core.participation.messages import Reply, Request
from sagakit.errors import RetryableError, TerminalError, UnknownMessage
from sagakit.ports import Doors
from sagakit.transports.calling import called
from sagakit.transports.kafka.form.outcomes import FAILED, NOTHING, SEVERAL, FailedPayload, OneEvent
from sagakit.transports.kafka.form.wire import Format, Record, WireMessage
from sagakit.transports.kafka.outlet import Outlet, sending
from sagakit.transports.kafka.reading.consumer import KafkaConsumer
from sagakit.transports.kafka.reading.unread import bury
from sagakit.transports.kafka.settings import KafkaSettings


class Participating(Protocol):
    """A `sagakit.participant.Participant`."""

    @property
    def name(self) -> str: ...

    @property
    def commands(self) -> frozenset[str]: ...

    async def handle(self, request: Request) -> Reply:
        """Do what a command asks, or say again what was answered before."""
        ...


class NotAnswered(RetryableError):
    """A handler has failed in a way that is no answer: the command is tried again."""


class KafkaParticipant:
    """Reads the commands of one topic; use it as the loop of a service."""

    def __init__(
        self,
        participant: Participating,
        topic: str,
        *,
        group: str,
        dead_letters: str,
        settings: Callable[[], KafkaSettings],
        format: Format,
    ) -> None:
        self.topic = topic
        self._participant = participant
        self._dead_letters = dead_letters
        self._format = format
        self._outlet = Outlet(settings)
        self._consumer = KafkaConsumer(group, settings, format, self._set_aside)
        self._consumer.add(self)

    async def run(self) -> None:
        """Work until it is cancelled. A command is done with once its answer is written. Raises KafkaUnusable."""
        self._consumer.check()
        self._outlet.open()
        try:
            await self._consumer.run(_NoDoors())  # pyright: ignore[reportArgumentType]
        finally:
            await self._outlet.close()

    def ready(self) -> str | None:
        """None, or why no commands come in, or no answers get out."""
        return self._consumer.ready() or self._outlet.ready()

    def wants(self, message: WireMessage) -> bool:
        """A command that nobody handles is not passed over: it is set aside."""
        return True

    async def take(self, doors: Doors, scope: str, message: WireMessage) -> None:
        """Have one command handled, and write the answer."""
        if message.type not in self._participant.commands:
            raise UnknownMessage(f"{self._participant.name} has no handler for {message.type!r}")
        request = Request(
            id=message.id,
            type=message.type,
            payload=message.payload,
            version=message.version,
            correlation_id=message.correlation_id or message.id,
            causation_id=message.causation_id,
            undoes=message.undoes,
            trace=message.trace,
            metadata={} if message.key is None else {"key": message.key},
        )
        try:
            reply = await self._participant.handle(request)
        except (TerminalError, RetryableError):
            raise
        except Exception as error:  # a handler's own
            raise NotAnswered(f"{type(error).__name__}: {error}") from error
        if message.reply_to is not None:
            answer = answer_of(reply, f"/{self._participant.name}", message)
            said = sending(message.reply_to, answer.id, answer.correlation_id)
            with called(f"send {message.reply_to}", said, kind="producer") as trace:
                placed = answer if trace is None else replace(answer, trace=trace)
                await self._outlet.write(self._format.write(message.reply_to, placed))

    async def _set_aside(self, doors: Doors, group: str, record: Record, reason: str) -> None:
        await bury(self._outlet.write, self._dead_letters, group, record, reason)


class _NoDoors:
    """A participant has no engine."""


def answer_of(reply: Reply, source: str, command: WireMessage) -> WireMessage:
    """The answer to a command, as its sender is told."""
    type, version, payload = NOTHING, 1, b"{}"
    if reply.failed is not None:
        type, payload = FAILED, msgspec.json.encode(FailedPayload(reply.failed, reply.known_not_done))
    elif len(reply.events) == 1:
        (event,) = reply.events
        type, version, payload = event.type, event.version, bytes(event.payload)
    elif reply.events:
        several = [OneEvent(one.type, one.payload, one.version) for one in reply.events]
        type, payload = SEVERAL, msgspec.json.encode(several)
    return WireMessage(
        id=reply.id,
        type=type,
        version=version,
        payload=payload,
        source=source,
        key=command.key,
        correlation_id=reply.correlation_id,
        causation_id=reply.causation_id,
        trace=command.trace,
        outcome=reply.outcome,
    )
