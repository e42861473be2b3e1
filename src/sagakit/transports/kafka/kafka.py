"""What a module declares of Kafka: the topics that its commands, events and answers go over."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, TypeAlias, Union

from sagakit.core.codec import Codec
from sagakit.core.messages import Later, Message, pinned, wire_name
from sagakit.core.retry import Retry
from sagakit.declare import (
    HandlerDeclaration,
    ListenerDeclaration,
    MessageTypes,
    Module,
    ReplierDeclaration,
    Retries,
)
from sagakit.engine.handlers.context import Context
from sagakit.errors import PayloadTooLarge, RetryableError
from sagakit.ports import Doors
from sagakit.transports.calling import calling
from sagakit.transports.kafka.checking import check
from sagakit.transports.kafka.form.cloudevents import CloudEvents
from sagakit.transports.kafka.form.wire import Format, Record, WireMessage
from sagakit.transports.kafka.outlet import Outlet, sending
from sagakit.transports.kafka.participation import KafkaParticipant, Participating
from sagakit.transports.kafka.reading.consumer import KafkaConsumer
from sagakit.transports.kafka.reading.intake import Answers, Commands, Events, Intake
from sagakit.transports.kafka.reading.unread import Parking, bury, parked_key, record_of
from sagakit.transports.kafka.replies import place_of, reply
from sagakit.transports.kafka.settings import KafkaSettings, KafkaUnusable, NoBrokerGiven

ENVIRONMENT = "SAGAKIT_KAFKA"
WITHOUT_END = Retry(None, first=0.5, cap=15)
"""While a broker is away everything stays where it is, and goes on when it is back."""
READ_AGAIN = Retry(None, first=0.5, cap=15, on=RetryableError)
Outcomes: TypeAlias = Mapping[type[Message], MessageTypes]
"""Commands, each with the events that it may lead to."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Kafka:
    """A broker, and who speaks over it.

    `url`: `kafka://host:9092`, `kafkas://user:password@host:9093`; None: the environment's SAGAKIT_KAFKA, when it is
    needed first. `dead_letters`: the topic of records that cannot be taken; None: they are parked, and an operator
    sees them. `format`: their form; the default is CloudEvents 1.0.
    """

    def __init__(
        self, url: str | KafkaSettings | None = None, *, dead_letters: str | None = None, format: Format | None = None
    ) -> None:
        self._url = url
        self._dead_letters = dead_letters
        self._format = format or CloudEvents()
        self._modules: dict[int, _OfModule] = {}

    def calls(
        self,
        module: Module,
        topic: str,
        commands: Outcomes,
        *,
        answers: str,
        key: str | None = None,
        group: str | None = None,
        retry: Retries = WITHOUT_END,
    ) -> None:
        """Send these commands of a module that runs elsewhere over a topic, and await their outcomes on another.

        `module` stands for that one: it has its name, so that the names on the wire are the same. `answers`: a topic
        that this app alone reads, in the `group` (default: named as the topic). `key`: a field path; commands of one
        key stay in order (default: those of one story do).
        """
        of = self._of(module)
        for command, outcomes in commands.items():
            of.send(topic, command, _several(outcomes), answers, key, retry)
        of.read(group or answers, Answers(answers))

    def serves(
        self, module: Module, topic: str, *commands: type[Message], of: str | None = None, group: str | None = None
    ) -> None:
        """Handle these commands as they come over a topic: a module of this app has handlers for them.

        Their outcomes go to the topic that their sender names. `of`: the name of the module that has the handlers
        (default: this one). `group`: of the workers that share this (default: the module's name).
        """
        ours = self._of(module)
        codecs = ours.codecs(commands, of or module.name)
        ours.read(group or module.name, Commands(topic, codecs, ours.replier(of or module.name)))

    def publishes(
        self, module: Module, topic: str, *events: type[Message], key: str, retry: Retries = WITHOUT_END
    ) -> None:
        """Write these events to a topic, whenever they happen: in their order for each `key` (a field path)."""
        self._of(module).publish(topic, events, key, retry)

    def consumes(self, module: Module, topic: str, *events: type[Message], of: str, group: str | None = None) -> None:
        """Take these events of another service's module `of` from a topic, as if they were published here.

        `group`: of the workers that share this (default: the module's name). Other events are passed over.
        """
        ours = self._of(module)
        ours.read(group or module.name, Events(topic, ours.codecs(events, of)))

    def participant(
        self, participant: Participating, topic: str, *, group: str | None = None, dead_letters: str | None = None
    ) -> KafkaParticipant:
        """The loop of a service without an engine: `await kafka.participant(payments, "payments").run()`.

        `group`: of the workers that share this (default: the topic). `dead_letters`: where commands go that cannot be
        read or that nobody handles (default: those of this Kafka, else the topic's name and `.dead`).
        """
        dead = dead_letters or self._dead_letters or f"{topic}.dead"
        return KafkaParticipant(
            participant,
            topic,
            group=group or topic,
            dead_letters=dead,
            settings=self.settings,
            format=self._format,
        )

    def settings(self) -> KafkaSettings:
        """How the broker is reached. Raises KafkaUnusable."""
        if isinstance(self._url, KafkaSettings):
            return self._url
        url = self._url or os.environ.get(ENVIRONMENT)
        if url is None:
            raise NoBrokerGiven(f"no broker is given: Kafka(url), or {ENVIRONMENT} in the environment")
        return KafkaSettings.from_url(url)

    def _of(self, module: Module) -> _OfModule:
        of = self._modules.get(id(module))
        if of is None:
            of = self._modules[id(module)] = _OfModule(module, self.settings, self._format, self._dead_letters)
        return of


class _OfModule:
    """One module's side of a broker."""

    def __init__(
        self, module: Module, settings: Callable[[], KafkaSettings], format: Format, dead_letters: str | None
    ) -> None:
        self._module = module
        self._declared = module.declared
        self._settings = settings
        self._format = format
        self._dead_letters = dead_letters
        self._consumers: dict[str, KafkaConsumer] = {}
        self._repliers: set[str] = set()
        self._parking: Parking | None = None
        self._outlets: list[Outlet] = []
        self._outlet: type[Outlet] | None = None

    # ------------------------------------------------------------------ out

    def outlet(self) -> type[Outlet]:
        """The type by which handlers of this module ask for their way out."""
        if self._outlet is not None:
            return self._outlet

        class ModuleOutlet(Outlet):
            """A type of its own: each module has a producer."""

        async def outlet() -> AsyncIterator[Outlet]:
            one = ModuleOutlet(self._settings)
            self._outlets.append(one)
            try:
                yield one
            finally:
                self._outlets.remove(one)
                await one.close()

        outlet.__annotations__ = {"return": AsyncIterator[ModuleOutlet]}
        self._outlet = ModuleOutlet
        self._declared.providers.append(outlet)
        self._module.link(_Outgoing(f"kafka from {self._module.name}", self._outlets, self._settings))
        return ModuleOutlet

    def send(
        self,
        topic: str,
        command: type[Message],
        outcomes: tuple[type[Message], ...],
        answers: str,
        key: str | None,
        retry: Retries,
    ) -> None:
        """Declare the handler that writes a command to a topic."""

        async def call(command: Any, context: Context, outlet: Outlet) -> Later:
            value = context.correlation_id if key is None else _value(command, key)
            with _writing(topic, context):
                message = self._message(context, value, reply_to=answers)
                await outlet.write(self._format.write(topic, message))
            return Later(f"topic {topic}")

        returned = Union[(*outcomes, Later)]
        call.__annotations__ = {"command": command, "context": Context, "outlet": self.outlet(), "return": returned}
        name = f"{command.__qualname__} over {topic}"
        self._declared.handlers.append(HandlerDeclaration(name, call, key, _retries(retry)))

    def publish(self, topic: str, events: tuple[type[Message], ...], key: str, retry: Retries) -> None:
        """Declare the listener that writes events to a topic."""

        async def publish(event: Any, context: Context, outlet: Outlet) -> None:
            with _writing(topic, context):
                message = self._message(context, _value(event, key))
                await outlet.write(self._format.write(topic, message))

        taken = Union[events]  # noqa: UP007 (made of what is given)
        publish.__annotations__ = {"event": taken, "context": Context, "outlet": self.outlet(), "return": None}
        self._declared.listeners.append(ListenerDeclaration(f"to {topic}", publish, key, _retries(retry)))

    def replier(self, of: str) -> str:
        """The name of the consumer that brings outcomes of a module back."""
        name = f"answers of {of}"
        if name not in self._repliers:

            async def answer(event: object, context: Context, outlet: Outlet) -> None:
                topic, key = place_of(context.lane)
                with _writing(topic, context):
                    message = reply(context.outcome, f"/{of}", key, context.trace)
                    await outlet.write(self._format.write(topic, message))

            answer.__annotations__ = {"context": Context, "outlet": self.outlet(), "return": None}
            self._declared.repliers.append(ReplierDeclaration(name, answer, _retries(WITHOUT_END)))
            self._repliers.add(name)
        return f"{self._module.name}.{name}"

    @property
    def _source(self) -> str:
        return f"/{self._module.name}"

    def _message(self, context: Context, key: str | None, *, reply_to: str | None = None) -> WireMessage:
        return WireMessage(
            id=context.message_id,
            type=context.message_type,
            version=context.message_version,
            payload=context.payload,
            source=self._source,
            key=key,
            time=(context.recorded_at - _EPOCH) // _MICROSECOND,
            correlation_id=context.correlation_id,
            causation_id=context.causation_id,
            undoes=context.undoes,
            idempotency_key=context.idempotency_key,
            trace=context.trace,
            reply_to=reply_to,
        )

    # ------------------------------------------------------------------ in

    def codecs(self, classes: list[type[Message]] | tuple[type[Message], ...], of: str) -> Mapping[str, Codec]:
        """Message classes by their names on the wire."""
        found: dict[str, Codec] = {}
        for cls in classes:
            name, version = pinned(cls) or (wire_name(of, cls), 1)
            found[name] = Codec(cls, name, version, self._declared.upcasters.get(cls))
        return found

    def read(self, group: str, intake: Intake) -> None:
        """Read a topic in a group."""
        consumer = self._consumers.get(group)
        if consumer is None:
            consumer = self._consumers[group] = KafkaConsumer(group, self._settings, self._format, self._set_aside)
            self._module.link(consumer)
            if self._dead_letters is None:
                self._park()
            else:
                self.outlet()
        consumer.add(intake)

    async def _set_aside(self, doors: Doors, group: str, record: Record, reason: str) -> None:
        if self._dead_letters is not None:
            outlet = self._outlets[0]
            await bury(outlet.write, self._dead_letters, group, record, reason)
        elif self._parking is not None:
            command = self._parking.command(group, record, reason)
            await doors.send(command, idempotency_key=parked_key(group, record), digest="")

    def _park(self) -> None:
        """Declare the handler that parks what could not be taken, and takes it when an operator has it tried anew."""
        if self._parking is not None:
            return
        parking = self._parking = Parking.new()

        async def read_record(command: Any) -> Any:
            if not command.is_whole:
                raise PayloadTooLarge(command.reason)
            await self._consumers[command.group].take_again(record_of(command))
            return parking.read(command.topic, command.partition, command.offset)

        read_record.__annotations__ = {"command": parking.unread, "return": parking.read}
        self._declared.handlers.append(HandlerDeclaration("read_record", read_record, None, _retries(READ_AGAIN)))


class _Outgoing:
    """A link that brings nothing in: it says whether anything gets out."""

    def __init__(self, name: str, outlets: list[Outlet], settings: Callable[[], KafkaSettings]) -> None:
        self.name = name
        self._outlets = outlets
        self._settings = settings

    def check(self) -> None:
        check(self._settings)

    async def run(self, doors: Doors) -> None:
        with suppress(KafkaUnusable):  # whoever writes is told
            for outlet in self._outlets:
                outlet.open()
        await asyncio.get_running_loop().create_future()

    def ready(self) -> str | None:
        return next((reason for outlet in self._outlets if (reason := outlet.ready())), None)


def _several(types: MessageTypes) -> tuple[type[Message], ...]:
    return types if isinstance(types, tuple) else (types,)


def _retries(retry: Retries) -> tuple[Retry, ...]:
    return (retry,) if isinstance(retry, Retry) else tuple(retry)


def _value(message: Message, path: str) -> str | None:
    value: object = attrgetter(path)(message)
    return None if value is None else str(value)


def _writing(topic: str, context: Context) -> AbstractContextManager[None]:
    """A record is written within the block, in a span of its own where the story is traced."""
    said = sending(topic, context.message_id, context.correlation_id)
    return calling(context, f"send {topic}", said, kind="producer")
