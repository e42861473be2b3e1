"""The engine as its users see it: the doors of what runs behind it."""

from __future__ import annotations

from typing import Any, TypeVar, cast, overload

from sagakit.core.decider import Decider, Loaded
from sagakit.core.lifecycle import CancelRequested
from sagakit.core.messages import Message, Seconds, seconds
from sagakit.core.streams import instance_id, lane_name
from sagakit.engine.inbox import Receipt
from sagakit.engine.running import Running
from sagakit.engine.topology import AggregateConsumer, ProcessConsumer
from sagakit.engine.watching.waiting import Waiter
from sagakit.errors import NotFound, StaleVersion, UnknownMessage, WaitTimeout

_A = TypeVar("_A", bound=Decider)
_E = TypeVar("_E", bound=Message)
_E1 = TypeVar("_E1", bound=Message)
_E2 = TypeVar("_E2", bound=Message)

STORY_PAGE = 1_000


class Engine(Running):
    """Runs one app on one store. Use it through `App.engine`, which starts and stops it."""

    async def send(
        self,
        command: Message,
        *,
        idempotency_key: str | None = None,
        digest: str | None = None,
        expected_version: int | None = None,
        trace: str | None = None,
    ) -> Receipt:
        """Accept a command: durable when this returns.

        The same `idempotency_key` gives the first receipt again; with another request (by `digest`, else by the
        command's payload) it raises KeyReused, while the first is being accepted KeyInFlight. `expected_version` is the
        version of the aggregate that the sender has seen: StaleVersion if it is another one.
        """
        envelope = self._door.new_envelope(command, "command", expected_version=expected_version, trace=trace)
        if expected_version is not None:
            # the same request again is no stale one: its own first run may be what has moved the aggregate on
            known = await self._door.repeated(envelope, idempotency_key, digest) if idempotency_key else None
            if known is not None:
                return known
            await self._check_version(envelope.message, expected_version)
        return await self._door.accept(envelope, key=idempotency_key, digest=digest)

    async def publish(self, event: Message, *, idempotency_key: str | None = None, trace: str | None = None) -> Receipt:
        """Record an event for whoever takes it: durable when this returns."""
        envelope = self._door.new_envelope(event, "event", trace=trace)
        return await self._door.accept(envelope, key=idempotency_key)

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
        waiter = self._waiting.subscribe(envelope.correlation_id, wanted)
        correlation_id = envelope.correlation_id
        try:
            receipt = await self._door.accept(envelope, key=idempotency_key, digest=digest)
            if receipt.repeated:
                self._waiting.leave(correlation_id, waiter)
                correlation_id = receipt.correlation_id
                waiter = self._waiting.subscribe(correlation_id, wanted, looking_back=True)
                await self._look_back(correlation_id)
                waiter.looked_back()
            return await self._in_time(waiter, seconds(timeout))
        finally:
            self._waiting.leave(correlation_id, waiter)

    async def _in_time(self, waiter: Waiter, limit: float) -> Any:
        def late() -> None:
            names = " or ".join(cls.__name__ for cls in waiter.until)
            waiter.fail(WaitTimeout(f"no {names} within {limit:g} s; it may still come"))

        timer = self._timers.at(self.clock.now() + int(limit * 1_000_000), late)
        try:
            return await waiter.future
        finally:
            timer.cancel()

    async def load(self, aggregate: type[_A], key: object) -> Loaded[_A]:
        """An aggregate's state and version as committed. Raises NotFound if it has no event."""
        return await self._aggregates.load_by_key(aggregate, key)

    async def cancel(self, process: Any, key: object, *, reason: str) -> bool:
        """Undo what an instance has done. False if it has ended, or is being undone, already."""
        consumer = self._consumer(process)
        id = instance_id(consumer.name, str(key))
        row = await self.store.read_instance(id)
        if row is None:
            raise NotFound(f"there is no {consumer.name} with key {str(key)!r}")
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

    async def _look_back(self, correlation_id: str) -> None:
        """Tell those who wait for a story what it has come to already."""
        after = 0
        while page := await self.store.read_story(correlation_id, after=after, limit=STORY_PAGE):
            for envelope in page:
                if envelope.type in self.topology.codecs.by_name:
                    envelope.message = self.topology.codecs.decode(envelope.type, envelope.version, envelope.payload)
            self._waiting.committed(page)
            after = page[-1].position
            if len(page) < STORY_PAGE:
                return
