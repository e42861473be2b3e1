"""Events that come before the start of their instance: they wait for it, for as long as their process says."""

from __future__ import annotations

import msgspec
import structlog

from sagakit.core.commit import Delivery, Envelope
from sagakit.core.lifecycle import EventUnmatched
from sagakit.core.messages import WIRE, derived_id
from sagakit.core.queries import DeliveryQuery
from sagakit.engine.draft import Draft
from sagakit.engine.handlers.reading import Reader
from sagakit.engine.lanes.lane import Lane
from sagakit.engine.routing import Router
from sagakit.engine.topology import ProcessConsumer
from sagakit.ports import Store

PAGE = 1_000
UNMATCHED: str = getattr(EventUnmatched, WIRE)[0]

_log = structlog.get_logger("sagakit.processes")


class Early:
    """Keeps them as a time that passes: what is scheduled is that they were in vain."""

    def __init__(self, router: Router, store: Store, read: Reader) -> None:
        self._router = router
        self._store = store
        self._read = read

    def finds_nobody(self, draft: Draft, process: ProcessConsumer, lane: Lane, envelope: Envelope) -> bool:
        """A message found no instance, and starts none. False: it waits once it is a delivery of its own."""
        waits = process.early_for and envelope.message.__class__ in self._router.topology.takers
        if waits and not envelope.position:
            return False
        if waits:
            self._wait(draft, process, lane, envelope)
            return True
        told = envelope.message
        message, id = (told.type, told.message_id) if isinstance(told, EventUnmatched) else (envelope.type, envelope.id)
        self._router.unmatched += 1
        _log.info("unmatched", process=process.name, message=message, id=id)
        return True

    def _wait(self, draft: Draft, process: ProcessConsumer, lane: Lane, early: Envelope) -> None:
        message = EventUnmatched(process.name, early.type, early.id, early.position)
        codec, payload, sealed = self._router.topology.codecs.seal(message)
        now = self._router.clock.now()
        envelope = Envelope(
            derived_id(early.id, lane.key, 0),
            "event",
            codec.name,
            payload,
            early.correlation_id,
            now,
            codec.version,
            early.id,
            trace=early.trace,
            message=sealed,
        )
        due = now + process.early_for
        draft.commit.deliveries.append(Delivery(envelope, process.name, lane.key, state="scheduled", due_at=due))

    def is_writing(self, draft: Draft, lane: Lane) -> bool:
        """Whether this draft has some begin to wait in a lane: a start finds them when that is durable."""
        return any(one.lane == lane.key and one.envelope.type == UNMATCHED for one in draft.commit.deliveries)

    async def started(self, draft: Draft, process: ProcessConsumer, lane: Lane) -> None:
        """An instance starts with this draft: what waits in its lane is delivered, in its order."""
        after = 0
        while True:
            query = DeliveryQuery(state="scheduled", lane=lane.key, limit=PAGE, after=after)
            page = await self._read(self._store.find_deliveries, query)
            for delivery in page:
                if delivery.envelope.type == UNMATCHED:
                    draft.commit.forgotten.append(delivery.envelope.id)
                    await self._deliver(draft, process, lane, delivery.envelope)
            if len(page) < PAGE:
                return
            after = page[-1].id

    async def given_up(self, draft: Draft, process: ProcessConsumer, lane: Lane, envelope: Envelope) -> None:
        """An event was given up while its instance started: it is told after all, if it has not been since."""
        told = msgspec.json.decode(envelope.payload, type=EventUnmatched)
        pending = any(told.message_id == delivery.envelope.id for delivery in lane.queue)
        if not pending and not await self._was_told(lane, told.message_id):
            await self._deliver(draft, process, lane, envelope)

    async def _was_told(self, lane: Lane, message_id: str) -> bool:
        instance, after = lane.key.rpartition("/")[2], 0
        while page := await self._read(self._store.read_history, instance, after=after, limit=PAGE):
            if any(given.id == message_id for entry in page for given in entry.inputs):
                return True
            after = page[-1].version
        return False

    async def _deliver(self, draft: Draft, process: ProcessConsumer, lane: Lane, envelope: Envelope) -> None:
        """The event itself, from the log."""
        told = msgspec.json.decode(envelope.payload, type=EventUnmatched)
        for early in await self._read(self._store.read_messages, after=told.position - 1, limit=1):
            if early.id == told.message_id:
                self._router.processes.deliver(draft, process, lane.key, (early,))
