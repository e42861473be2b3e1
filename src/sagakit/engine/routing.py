"""Where messages go: each new message of a Commit to those that take it, inline where a process can react at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
import structlog

from sagakit.core.codec import Codec
from sagakit.core.commit import Delivery, Envelope
from sagakit.core.lifecycle import CancelChild, CommandFailed, CommandLedToNothing, HandedOver
from sagakit.core.messages import derived_id
from sagakit.core.process import Output
from sagakit.core.streams import instance_id, lane_name
from sagakit.engine.draft import Draft, Failure
from sagakit.engine.topology import AggregateConsumer, Consumer, ProcessConsumer, ServiceConsumer, Topology
from sagakit.errors import Refused, UnknownMessage
from sagakit.ports import Clock

BAD_KEY = "!key/"
"""The lanes of messages whose key could not be found: each for itself."""

DOOR = "sagakit.door"
"""The consumer of a command that was sent for later, until it is due: then it goes to its handler."""

_log = structlog.get_logger("sagakit.routing")


class Processes(Protocol):
    """What the router needs of the instances."""

    async def tell_sender(self, draft: Draft, sender: str, envelopes: tuple[Envelope, ...]) -> None:
        """Tell the instance that sent a command its outcome. `sender` is its lane: process/instance id."""
        ...

    async def tell(
        self, draft: Draft, process: ProcessConsumer, lane_key: str, key: str | None, envelopes: tuple[Envelope, ...]
    ) -> None:
        """Tell an instance: inline if its lane is idle, else by a delivery."""
        ...

    def deliver(
        self, draft: Draft, process: ProcessConsumer, lane_key: str, envelopes: tuple[Envelope, ...]
    ) -> Delivery:
        """Tell an instance by a delivery, which nothing may overtake."""
        ...

    def abandon(self, draft: Draft) -> None:
        """A draft will not be committed: forget what reacted in it."""
        ...


class Router:
    """Adds to a draft what its messages lead to."""

    processes: Processes

    def __init__(self, topology: Topology, clock: Clock) -> None:
        self.topology = topology
        self.clock = clock
        self.unmatched = 0
        """Events by key that found no instance and started none."""

    def envelope(
        self,
        cause: Envelope,
        consumer: str,
        index: int,
        message: Any,
        now: int,
        *,
        stream: str | None = None,
        version: int = 0,
    ) -> Envelope:
        """An event that `consumer` made of `cause`, encoded and decoded again. Raises InvalidMessage."""
        codec, payload, sealed = self.topology.codecs.seal(message)
        return Envelope(
            derived_id(cause.id, consumer, index),
            "event",
            codec.name,
            payload,
            cause.correlation_id,
            now,
            codec.version,
            cause.id,
            None,
            None,
            cause.trace,
            stream,
            version if stream else None,
            None,
            0,
            sealed,
        )

    def handed_over(self, draft: Draft, command: Envelope, consumer: str, attempt: int, to: str) -> None:
        """A command has no outcome yet: its handler has handed it over to a participant."""
        message = HandedOver(command.id, command.type, consumer, to, attempt)
        event = self.envelope(command, "sagakit.handed_over", attempt, message, self.clock.now())
        event.sender = consumer  # else it would be an outcome of that command
        draft.commit.messages.append(event)

    async def outcome(self, draft: Draft, command: Envelope, events: Sequence[Envelope]) -> None:
        """The whole outcome of a command: to the process that waits for it, and each event to its takers."""
        told = command.sender
        if not events:
            if told is not None:
                events = (self.led_to_nothing(command),)
            elif command.id == command.correlation_id:
                nothing = Refused(f"{command.type} led to no event")
                draft.stories.append(Failure(command.correlation_id, nothing))
        draft.commit.messages.extend(events)
        await self._tell_outcome(draft, told, events)

    async def answered(self, draft: Draft, command: Envelope, events: Sequence[Envelope]) -> None:
        """The outcome of a command that has started a process, which is completed; its events are in the draft."""
        if not events and command.sender is not None:
            events = (self.led_to_nothing(command),)
            draft.commit.messages.extend(events)
        await self._tell_outcome(draft, command.sender, events)

    async def _tell_outcome(self, draft: Draft, told: str | None, events: Sequence[Envelope]) -> None:
        if told is not None:
            await self.processes.tell_sender(draft, told, tuple(events))
        for event in events:
            if event.message.__class__ in self.topology.takers:
                await self._takers(draft, (event,), told)

    async def refused(self, draft: Draft, command: Envelope, reason: str) -> None:
        """A command starts nothing: whoever sent it is told that it was not done."""
        if command.sender is not None:
            await self.failure(draft, command, reason, known_not_done=True)
        elif command.id == command.correlation_id:
            draft.stories.append(Failure(command.correlation_id, Refused(reason)))

    async def failure(
        self,
        draft: Draft,
        command: Envelope,
        reason: str,
        *,
        known_not_done: bool = False,
        spent: int = 0,
        by: str = "sagakit.failure",
    ) -> None:
        """A command was given up, by whomever: tell the process that sent it.

        `spent`: the attempts of earlier rounds. What an operator has tried anew may be given up again, or lead to
        nothing: each is a message with an id of its own.
        """
        message = CommandFailed(
            command.id, command.type, command.version, msgspec.Raw(command.payload), reason, known_not_done
        )
        event = self.envelope(command, by, spent, message, self.clock.now())
        draft.commit.messages.append(event)
        if command.sender is not None:
            await self.processes.tell_sender(draft, command.sender, (event,))

    async def published(self, draft: Draft, events: Sequence[Envelope]) -> None:
        """Events that answer no command: to their takers. They are in the draft already."""
        await self._takers(draft, events, None)

    async def noticed(self, draft: Draft, event: Envelope, about: str | None) -> None:
        """An event of the engine's own, to its takers but the instance in the lane that it is about."""
        await self._takers(draft, (event,), about)

    async def commands(self, draft: Draft, commands: Sequence[Envelope]) -> None:
        """Commands to their handlers, or to the processes that they start. They are in the draft already."""
        for command in commands:
            if command.message.__class__ is CancelChild:
                await self.processes.tell_sender(draft, command.message.child, (command,))
            elif not self.to_handler(draft, command):
                for process in self.topology.starters.get(command.message.__class__, ()):
                    await self._by_key(draft, process, command, None)

    def to_handler(self, draft: Draft, command: Envelope) -> bool:
        """A command to its handler. False if it has none."""
        handler = self.topology.handlers.get(command.message.__class__)
        if handler is None:
            return False
        draft.deliver(command, handler.name, self.lane(handler, command))
        return True

    def check_handled(self, codec: Codec) -> None:
        """Raise UnknownMessage if nobody handles this command."""
        if codec.cls not in self.topology.handlers and codec.cls not in self.topology.starters:
            raise UnknownMessage(f"nobody handles the command {codec.name}")

    def lane(self, consumer: ServiceConsumer | AggregateConsumer, envelope: Envelope) -> str:
        """The lane of a message at a consumer; without a key, a lane of its own."""
        if consumer.key is None:
            return envelope.id
        try:
            key = consumer.key(envelope.message)
        except Exception as error:  # the user's key: it is given up, alone
            _log.warning("no key", consumer=consumer.name, message=envelope.type, error=str(error))
            return f"{BAD_KEY}{consumer.name}/{envelope.id}"
        return envelope.id if key is None else lane_name(consumer.name, key)

    def route_anew(self, draft: Draft, consumer: Consumer, envelope: Envelope) -> bool:
        """A message whose key could not be found, into its lane at a consumer. False if it still cannot."""
        try:
            if envelope.message is None:
                envelope.message = self.topology.codecs.decode(envelope.type, envelope.version, envelope.payload)
            key = None if consumer.key is None else consumer.key(envelope.message)
        except Exception:  # the user's key, or a message that does not fit its class
            return False
        if isinstance(consumer, ProcessConsumer):
            if key is not None:
                lane = lane_name(consumer.name, instance_id(consumer.name, key))
                self.processes.deliver(draft, consumer, lane, (envelope,))
            return True
        if isinstance(consumer, ServiceConsumer) and consumer.role != "handler":
            lane = self._taker_lane(consumer, envelope)
        else:
            lane = self.lane(consumer, envelope)
        draft.deliver(envelope, consumer.name, lane)
        return True

    def why_no_key(self, consumer: Consumer, envelope: Envelope) -> str:
        """What is wrong with the key of a message that is in a lane of its own for that."""
        try:
            message = envelope.message or self.topology.codecs.decode(envelope.type, envelope.version, envelope.payload)
            if consumer.key is not None:
                consumer.key(message)
        except Exception as error:
            return f"its key cannot be found: {type(error).__name__}: {error}"
        return "its key could not be found"

    def outputs(self, cause: Envelope, sender: str, outputs: Sequence[Output], now: int) -> list[Envelope]:
        """The envelopes of a reaction's outputs."""
        # an event that a process publishes while it handles a command is no outcome of that command
        publisher = sender if cause.kind == "command" else None
        made: list[Envelope] = []
        for output in outputs:  # mostly one: a comprehension would cost a function
            envelope = Envelope(
                output.id,
                output.kind,
                output.type,
                output.payload,
                cause.correlation_id,
                now,
                output.version,
                cause.id,
                sender if output.kind == "command" else publisher,
                output.undoes,
                cause.trace,
                None,
                None,
                None,
                0,
                output.message,
            )
            made.append(envelope)
        return made

    async def _takers(self, draft: Draft, events: Sequence[Envelope], told: str | None) -> None:
        for event in events:
            for taker in self.topology.takers.get(event.message.__class__, ()):
                if isinstance(taker, ProcessConsumer):
                    await self._by_key(draft, taker, event, told)
                else:
                    draft.deliver(event, taker.name, self._taker_lane(taker, event))

    def _taker_lane(self, taker: ServiceConsumer, event: Envelope) -> str:
        # two takers of one event must not share the lane that the event's id would name
        lane = self.lane(taker, event)
        return f"{taker.name}/{lane}" if lane == event.id else lane

    async def _by_key(self, draft: Draft, process: ProcessConsumer, event: Envelope, told: str | None) -> None:
        try:
            key = process.key(event.message)
        except Exception as error:
            _log.warning("no key", process=process.name, message=event.type, error=str(error))
            draft.deliver(event, process.name, f"{BAD_KEY}{process.name}/{event.id}")
            return
        if key is None:
            if event.kind == "command":
                await self.refused(draft, event, f"{process.name}: its key is None, which starts nothing")
            return
        lane = lane_name(process.name, instance_id(process.name, key))
        if lane != told:
            await self.processes.tell(draft, process, lane, key, (event,))

    def led_to_nothing(self, command: Envelope, by: str = "sagakit") -> Envelope:
        """The outcome of a command that has led to no event, as a message."""
        message = CommandLedToNothing(command.id, command.type, command.version, msgspec.Raw(command.payload))
        return self.envelope(command, by, 0, message, self.clock.now())
