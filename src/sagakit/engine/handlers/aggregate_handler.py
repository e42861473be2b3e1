"""Aggregates: fold the stream, decide, append; ready commands of one key are folded and committed together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from sagakit.core.commit import Delivery, Envelope, Rejected, Snapshot
from sagakit.core.decider import Loaded, decide, evolve
from sagakit.core.streams import stream_name
from sagakit.engine.draft import Draft
from sagakit.engine.handlers.failures import Failures
from sagakit.engine.handlers.reading import Reader
from sagakit.engine.handlers.runs import Runs
from sagakit.engine.lanes.lane import Lane
from sagakit.engine.routing import Router
from sagakit.engine.topology import AggregateConsumer
from sagakit.errors import NotFound, StaleVersion
from sagakit.ports import Store

PAGE = 1_000

_encode = msgspec.json.encode


class AggregateHandler:
    """Runs the commands of aggregates."""

    def __init__(
        self,
        router: Router,
        store: Store,
        read: Reader,
        failures: Failures,
        runs: Runs,
        submit: Callable[[Draft], None],
        most: int,
    ) -> None:
        self._router = router
        self._codecs = router.topology.codecs
        self._clock = router.clock
        self._store = store
        self._read = read
        self._failures = failures
        self._runs = runs
        self._submit = submit
        self._most = most

    async def handle(self, lane: Lane, consumer: AggregateConsumer) -> None:
        """Decide the queued commands of a lane, in one Commit. One that fails is handled by itself."""
        loaded: Loaded[Any] = lane.cache or await self.load(consumer, lane.key)
        draft = Draft(self._settled)
        state, version, count = loaded.state, loaded.version, 0
        outcomes: list[tuple[Envelope, list[Envelope]]] = []
        now = self._clock.now()
        most = 1 if lane.alone else self._most
        lane.alone = False
        for delivery in lane.queue:
            if count == most or delivery.state != "ready" or (count and self._waits(delivery.envelope)):
                break
            try:
                events, decided = self._decide(consumer, lane.key, delivery, state, version, now)
            except Exception as error:  # the user's code: any error is the delivery's
                if count == 0:
                    await self._failures.failed(lane, delivery, error, ())
                    return
                break
            state, version, count = decided, version + len(events), count + 1
            draft.finish(delivery)
            outcomes.append((delivery.envelope, events))
        if not count:  # all that was queued was given up meanwhile
            self._failures.lanes.release(lane)
            return
        self._snapshot(draft, consumer, lane.key, loaded.version, version, state)
        draft.subject = (lane, lane.queue[0], count, Loaded(state, version))
        try:
            for command, events in outcomes:
                await self._router.outcome(draft, command, events)
        except BaseException:
            self._router.processes.abandon(draft)
            raise
        self._submit(draft)

    def _waits(self, envelope: Envelope) -> bool:
        """Whether a message that is not the first of a run has to be looked at by itself."""
        return bool(self._runs.undos_apart and envelope.undoes) or self._runs.before(envelope) is not None

    def _decide(
        self, consumer: AggregateConsumer, stream: str, delivery: Delivery, state: Any, version: int, now: int
    ) -> tuple[list[Envelope], Any]:
        command = delivery.envelope
        if command.message is None:
            command.message = self._codecs.decode(command.type, command.version, command.payload)
        if command.expected_version is not None and command.expected_version != version:
            raise StaleVersion(stream, command.expected_version, version)
        events = [
            self._router.envelope(command, consumer.name, index, event, now, stream=stream, version=version + index + 1)
            for index, event in enumerate(decide(state, command.message))
        ]
        return events, evolve(state, [event.message for event in events])

    def _settled(self, draft: Draft, result: Rejected | BaseException | None) -> None:
        lane, first, count, loaded = draft.subject
        lanes = self._failures.lanes
        if result is None:
            lanes.remove(lane, count)
            lane.cache = loaded
            lanes.release(lane)
        elif isinstance(result, Rejected):
            lane.cache = None
            lane.alone = count > 1
            if result.why == "gone" and count == 1:
                lanes.remove_head(lane, first)
            lanes.release(lane)

    # ------------------------------------------------------------------ loading

    async def load(self, consumer: AggregateConsumer, stream: str, upto: int | None = None) -> Loaded[Any]:
        """An aggregate as the store has it, or as it stood at version `upto`."""
        state, version = consumer.cls(), 0
        snapshot = await self._read(self._store.read_snapshot, stream)
        if snapshot is not None and snapshot.code == consumer.code and (upto is None or snapshot.version <= upto):
            state, version = msgspec.json.decode(snapshot.state, type=consumer.cls), snapshot.version
        while page := await self._read(self._store.read_stream, stream, after=version, limit=PAGE):
            if upto is not None:
                page = [event for event in page if (event.stream_version or 0) <= upto]
            state = evolve(state, [self._codecs.decode(event.type, event.version, event.payload) for event in page])
            version += len(page)
            if len(page) < PAGE:
                break
        return Loaded(state, version)

    async def load_by_key(self, cls: type[Any], key: object, seen_from: Envelope | None = None) -> Loaded[Any]:
        """An aggregate by class and key; NotFound if it has no event. An event of its own stream limits the view."""
        consumer = self._router.topology.aggregates.get(cls)
        if consumer is None:
            raise NotFound(f"{cls.__name__} is no aggregate of this app")
        stream = stream_name(consumer.name, consumer.text_of(key))
        upto = seen_from.stream_version if seen_from is not None and seen_from.stream == stream else None
        lane = self._failures.lanes.find(stream) if upto is None else None
        loaded: Loaded[Any] = (lane.cache if lane is not None else None) or await self.load(consumer, stream, upto)
        if loaded.version == 0:
            raise NotFound(f"there is no {cls.__name__} with key {consumer.text_of(key)!r}")
        return loaded

    def _snapshot(
        self, draft: Draft, consumer: AggregateConsumer, stream: str, before: int, version: int, state: Any
    ) -> None:
        every = consumer.snapshot_every
        if every and version // every > before // every:
            draft.commit.snapshots.append(Snapshot(stream, version, consumer.code, _encode(state)))
