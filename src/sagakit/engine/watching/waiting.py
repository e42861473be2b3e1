"""Those who wait for the outcome of what they sent, in this process: subscribed before the send."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from sagakit.core.commit import Envelope
from sagakit.engine.draft import Failure
from sagakit.engine.topology import ProcessConsumer, ServiceConsumer, Topology
from sagakit.errors import Refused


class Waiter:
    """One who waits for one of several event types in one story."""

    __slots__ = ("_failure", "_looking_back", "future", "root", "until")

    def __init__(self, root: str, until: tuple[type, ...], *, looking_back: bool) -> None:
        self.root = root
        self.until = until
        self._looking_back = looking_back
        self._failure: Exception | None = None
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def answer(self, event: Any) -> None:
        """The awaited event has come."""
        if not self.future.done():
            self.future.set_result(event)

    def fail(self, error: Exception) -> None:
        """It will not come; who still looks back may find that it has come before."""
        if self._looking_back:
            self._failure = self._failure or error
        elif not self.future.done():
            self.future.set_exception(error)
            self.future.exception()  # whoever waits raises it; a waiter that has gone is no lost error

    def looked_back(self) -> None:
        """All that had come before is told."""
        self._looking_back = False
        if self._failure is not None:
            self.fail(self._failure)


class Waiting:
    """Waiters by correlation id."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._waiters: dict[str, list[Waiter]] = {}
        self._reached: dict[frozenset[type], frozenset[type]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiters)

    def subscribe(self, correlation_id: str, until: tuple[type, ...], *, looking_back: bool = False) -> Waiter:
        """Wait for an event of this story; also one that is told before the wait begins.

        `looking_back`: what has come before will be told as well, and until then no failure counts.
        """
        waiter = Waiter(correlation_id, until, looking_back=looking_back)
        self._waiters.setdefault(correlation_id, []).append(waiter)
        return waiter

    def leave(self, correlation_id: str, waiter: Waiter) -> None:
        """Wait no longer."""
        waiters = self._waiters.get(correlation_id, [])
        if waiter in waiters:
            waiters.remove(waiter)
        if not waiters:
            self._waiters.pop(correlation_id, None)

    def end(self, why: Exception) -> None:
        """Nothing will be told any more."""
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.fail(why)

    def committed(self, messages: Sequence[Envelope]) -> None:
        """Messages of one Commit are durable: tell those who wait for them."""
        story, waiters, root_answered = None, (), False
        for envelope in messages:
            if envelope.correlation_id != story:  # most Commits are of one story
                story = envelope.correlation_id
                waiters = self._waiters.get(story, ())
            for waiter in waiters:
                if envelope.message.__class__ in waiter.until:
                    waiter.answer(envelope.message)
                root_answered = root_answered or (envelope.causation_id == story and envelope.sender is None)
        if root_answered:
            self._refusals(messages)

    def failed(self, failure: Failure) -> None:
        """A story has failed: tell those for whom nothing can come any more."""
        waiters = self._waiters.get(failure.correlation_id, ())
        if waiters:
            still = self._reach(failure.still)
            for waiter in waiters:
                if not still.intersection(waiter.until):
                    waiter.fail(failure.error)

    def _refusals(self, messages: Sequence[Envelope]) -> None:
        """The root command itself led only to events that lead to nothing awaited: the story is over."""
        for envelope in messages:
            waiters = self._waiters.get(envelope.correlation_id, ())
            # an event with a sender is none of the root's outcome: a process that it started has published it
            if not waiters or envelope.causation_id != envelope.correlation_id or envelope.kind != "event":
                continue
            if envelope.sender is not None:
                continue
            outcome = {other.message.__class__ for other in messages if other.causation_id == envelope.causation_id}
            reach = self._reach(frozenset(outcome))
            if any(isinstance(taker, ProcessConsumer) for cls in reach for taker in self._topology.takers.get(cls, ())):
                continue
            for waiter in waiters:
                if not reach.intersection(waiter.until):
                    waiter.fail(Refused(_reason(envelope), envelope.message))

    def _reach(self, types: frozenset[type]) -> frozenset[type]:
        """These messages, and what commands, forwarders and listeners make of them; not what processes do."""
        known = self._reached.get(types)
        if known is None:
            found: set[type] = set()
            to_do = list(types)
            while to_do:
                cls = to_do.pop()
                if cls not in found:
                    found.add(cls)
                    to_do.extend(self._topology.around.outcomes.get(cls, ()))
                    for taker in self._topology.takers.get(cls, ()):
                        to_do.extend(taker.outcomes if isinstance(taker, ServiceConsumer) else ())
            known = self._reached[types] = frozenset(found)
        return known


def _reason(refusal: Envelope) -> str:
    try:
        return str(getattr(refusal.message, "reason", "") or refusal.type)
    except Exception:  # a property of the user's may raise
        return refusal.type
