"""The engine as its users see it: the doors of what runs behind it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from datetime import datetime
from functools import partial
from typing import Any, TypeVar, cast, overload

from sagakit.core.decider import Decider, Loaded
from sagakit.core.lifecycle import CancelRequested
from sagakit.core.messages import Message, Seconds, seconds
from sagakit.core.streams import instance_id, lane_name
from sagakit.engine.doors.answering import Answer
from sagakit.engine.doors.links import Links
from sagakit.engine.observing.visible import Visible
from sagakit.engine.time.due import due_at
from sagakit.engine.topology import AggregateConsumer, ProcessConsumer
from sagakit.engine.watching.updates import Update
from sagakit.errors import NotFound, StaleVersion, UnknownMessage
from sagakit.ports import Origin, Receipt

TRIES = 100
"""Keys that are looked at for one that is at home."""

_A = TypeVar("_A", bound=Decider)
_P = TypeVar("_P")
_E = TypeVar("_E", bound=Message)
_E1 = TypeVar("_E1", bound=Message)
_E2 = TypeVar("_E2", bound=Message)


class Engine(Visible):
    """Runs one app on one store. Use it through `App.engine`, which starts and stops it."""

    async def start(self) -> None:
        """Open the store and the providers, go on with what is outstanding, and let the links bring in more."""
        if self.topology.links:
            self._links = Links(self.topology.links, self, self.clock)
            self._links.check()
        await super().start()

    async def send(
        self,
        command: Message,
        *,
        idempotency_key: str | None = None,
        digest: str | None = None,
        expected_version: int | None = None,
        trace: str | None = None,
        after: Seconds | None = None,
        at: datetime | None = None,
        origin: Origin | None = None,
    ) -> Receipt:
        """Accept a command: durable when this returns.

        It is handled at once, or `after` so many seconds, or `at` a time (with a time zone): never earlier, and hardly
        later, also by an engine that is started in between.

        The same `idempotency_key` gives the first receipt again; with another request (by `digest`, else by all that
        the command says) it raises KeyReused, while the first is being accepted KeyInFlight. `expected_version` is the
        version of the aggregate that the sender has seen: StaleVersion if it is another one. A command of another
        service (`origin`) keeps its id and its story.
        """
        if origin is not None:
            return await self._incoming.accept(command, "command", origin, trace)
        due = due_at(self.clock.now(), after, at)
        envelope = self._door.new_envelope(command, "command", expected_version=expected_version, trace=trace)
        if expected_version is not None:
            # the same request again is no stale one: its own first run may be what has moved the aggregate on
            known = await self._door.repeated(envelope, idempotency_key, digest) if idempotency_key else None
            if known is not None:
                return known
            await self._check_version(envelope.message, expected_version)
        return await self._door.accept(envelope, key=idempotency_key, digest=digest, due=due)

    async def publish(
        self,
        event: Message,
        *,
        idempotency_key: str | None = None,
        trace: str | None = None,
        origin: Origin | None = None,
    ) -> Receipt:
        """Record an event for whoever takes it: durable when this returns. `origin`: as for `send`."""
        if origin is not None:
            return await self._incoming.accept(event, "event", origin, trace)
        envelope = self._door.new_envelope(event, "event", trace=trace)
        return await self._door.accept(envelope, key=idempotency_key)

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
        """Record what a command that was handed over has led to: its outcome, as if its handler had returned it.

        `failed`: why it could not be done; it may have been all the same, unless it is `known_not_done`. `source` and
        `message_id` name the answer: one that comes again changes nothing; without an id, the same words are the same
        answer. An answer that comes before its command's handler has returned is taken, and ends that handling.

        `digest`: of the bytes that it came in, if any: with these again it is the same answer too.

        `trace`: the W3C traceparent of the answer. What that leads to stands there, if the story is in that trace.

        Raises NotFound if the story has no such command, NotPossible if this app handles it by itself, KeyReused if
        the id came with another answer.
        """
        answer = Answer(events, failed, known_not_done, source, message_id, trace, digest)
        return await self._answering.answer(command_id, correlation_id, answer)

    def decode(self, type: str, payload: bytes, *, version: int | None = None) -> Message:
        """The message of a wire name and its payload (`version`: None for the newest). Raises UnknownMessage and
        InvalidMessage."""
        return self.topology.codecs.named(type).decode(payload, version)

    @overload
    async def send_and_wait(
        self,
        command: Message,
        *,
        until: type[_E],
        timeout: Seconds = ...,
        idempotency_key: str | None = ...,
        digest: str | None = ...,
        trace: str | None = ...,
    ) -> _E: ...
    @overload
    async def send_and_wait(
        self,
        command: Message,
        *,
        until: tuple[type[_E1], type[_E2]],
        timeout: Seconds = ...,
        idempotency_key: str | None = ...,
        digest: str | None = ...,
        trace: str | None = ...,
    ) -> _E1 | _E2: ...
    async def send_and_wait(
        self,
        command: Message,
        *,
        until: Any,
        timeout: Seconds = 30.0,
        idempotency_key: str | None = None,
        digest: str | None = None,
        trace: str | None = None,
    ) -> Any:
        """Send a command and wait for an event of its story, once that is durable.

        Raises Refused or OutcomeUnknown as soon as none of `until` can come any more, WaitTimeout after `timeout`
        seconds: that cancels nothing.
        """
        wanted: tuple[type, ...] = cast("tuple[type, ...]", until) if isinstance(until, tuple) else (until,)
        envelope = self._door.new_envelope(command, "command", trace=trace)
        waiter = self._watching.expect(envelope.correlation_id, wanted, new=True)
        try:
            receipt = await self._door.accept(envelope, key=idempotency_key, digest=digest)
            if not receipt.repeated:
                return await self._watching.outcome(waiter, seconds(timeout))
        finally:
            self._watching.leave(waiter)
        return await self._watching.wait(receipt.correlation_id, wanted, seconds(timeout))

    @overload
    async def wait(self, *, until: type[_E], correlation_id: str, timeout: Seconds = ...) -> _E: ...
    @overload
    async def wait(
        self, *, until: tuple[type[_E1], type[_E2]], correlation_id: str, timeout: Seconds = ...
    ) -> _E1 | _E2: ...
    @overload
    async def wait(self, process: Any, key: object, *, timeout: Seconds = ..., begun: bool = ...) -> Update: ...
    async def wait(
        self,
        process: Any = None,
        key: object = None,
        *,
        until: Any = None,
        correlation_id: str | None = None,
        timeout: Seconds = 30.0,
        begun: bool = True,
    ) -> Any:
        """Wait for an event of a story, which may have come already, or for the end of an instance.

        Raises what `send_and_wait` raises; NotFound if there is no such instance. `begun=False`: what starts it may
        still be on its way, as it is to another worker just after it was sent, so that is waited for, too.
        """
        if process is not None:
            return await self._watching.wait_for_end(self._consumer(process), key, seconds(timeout), begun=begun)
        if correlation_id is None or until is None:
            raise TypeError("wait takes a process and a key, or until= and correlation_id=")
        wanted: tuple[type, ...] = cast("tuple[type, ...]", until) if isinstance(until, tuple) else (until,)
        return await self._watching.wait(correlation_id, wanted, seconds(timeout))

    @overload
    def watch(self, process: Any, key: object, *, after: str | None = ...) -> AsyncGenerator[Update]: ...
    @overload
    def watch(self, *, correlation_id: str, after: str | None = ...) -> AsyncGenerator[Update]: ...
    def watch(
        self, process: Any = None, key: object = None, *, correlation_id: str | None = None, after: str | None = None
    ) -> AsyncGenerator[Update]:
        """Where an instance stands, then every update, up to its end; or the same of a story, message by message.

        `after`: the cursor of the last update that was seen: go on behind it. Raises NotFound, CursorGone, Stopping.
        """
        if process is not None:
            return self._watching.watch(self._consumer(process), key, after)
        if correlation_id is None:
            raise TypeError("watch takes a process and a key, or correlation_id=")
        return self._watching.watch_story(correlation_id, after)

    def new_key(self, *of: Any) -> str:
        """A key that nothing has yet, for these processes and aggregates: 32 hexadecimal digits that rise with time.

        Where several workers share the store it is one that this worker owns the lanes of, as things stand, unless
        none is found soon: what begins with it here need not cross to another worker. Raises NotFound.
        """
        named = [self._named(one) for one in of]
        key = self._chance.new_id()
        if self.team is not None and named:
            owned = self.team.ownership
            for _ in range(TRIES):
                if all(owned.is_at_home(name, lane_name(name, lane_of(key))) for name, lane_of in named):
                    break
                key = self._chance.new_id()
        return key

    def _named(self, one: Any) -> tuple[str, Callable[[str], str]]:
        """A process or an aggregate by its name, and what its lanes are named by for a key."""
        if one in self.topology.aggregates:
            return self.topology.aggregates[one].name, str
        process = self._consumer(one)
        return process.name, partial(instance_id, process.name)

    async def load(self, aggregate: type[_A], key: object) -> Loaded[_A]:
        """An aggregate's state and version as committed. Raises NotFound if it has no event."""
        return await self._aggregates.load_by_key(aggregate, key)

    def provided(self, wanted: type[_P]) -> _P | None:
        """What is provided by this type, while the engine runs; None if nothing is."""
        found: Any = self._providers.values({"it": wanted}).get("it")
        return found

    async def cancel(self, process: Any, key: object, *, reason: str) -> bool:
        """Undo what an instance has done. False if it has ended, or is being undone, already."""
        consumer = self._consumer(process)
        id = instance_id(consumer.name, str(key))
        row = await self.store.read_instance(id)
        if row is None:
            raise NotFound(f"there is no {consumer.name} with key {str(key)!r}")
        if row.status == "parked":  # what it is parked on holds its lane: pass beside it
            await self.operator.act(id, "cancel", by=self.topology.app, reason=reason)
            return True
        if row.status != "running":
            return False
        await self._door.tell(CancelRequested(reason), consumer, lane_name(consumer.name, id))
        return True

    async def status(self, process: Any, key: object) -> str:
        """The status of an instance as committed. Raises NotFound if there is none."""
        consumer = self._consumer(process)
        row = await self.store.read_instance(instance_id(consumer.name, str(key)))
        if row is None:
            raise NotFound(f"there is no {consumer.name} with key {str(key)!r}")
        return row.status

    def _consumer(self, process: Any) -> ProcessConsumer:
        try:
            return self.topology.processes[process]
        except KeyError:
            raise NotFound(f"{process!r} is no process of this app") from None

    async def _check_version(self, command: Any, expected: int) -> None:
        consumer = self.topology.handlers.get(command.__class__)
        if not isinstance(consumer, AggregateConsumer):
            raise UnknownMessage(f"expected_version: {type(command).__name__} is handled by no aggregate")
        stream = lane_name(consumer.name, consumer.key(command) or "")
        found = await self._aggregates.load(consumer, stream)
        if found.version != expected:
            raise StaleVersion(stream, expected, found.version)
