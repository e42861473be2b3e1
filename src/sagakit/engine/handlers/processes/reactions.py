"""What is written of a reaction: its messages, the instance's row and history, and what people look for."""

from __future__ import annotations

from sagakit.core.commit import ENDED, Commit, Delivery, Envelope, Instance, InstanceWrite, Reaction, Search, Status
from sagakit.core.process import Input, Reacted
from sagakit.engine.draft import Draft
from sagakit.engine.handlers.processes.attributes import NONE, gathered
from sagakit.engine.handlers.processes.instances import Slot
from sagakit.engine.handlers.processes.parking import trace_id
from sagakit.engine.lanes.lane import Lane
from sagakit.engine.routing import Router


class Reactions:
    """Writes reactions into drafts."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._clock = router.clock

    def write(
        self, draft: Draft, slot: Slot, lane: Lane, envelopes: tuple[Envelope, ...], reacted: Reacted, state: bytes
    ) -> list[Envelope]:
        """Add to a draft what an instance has done. What it sends is in the draft then, but not routed yet."""
        row, status, commit = slot.row, slot.live.status, draft.commit
        sent: list[Envelope] = []
        if reacted.outputs:
            sent = self._router.outputs(envelopes[0], lane.key, reacted.outputs, self._clock.now())
            commit.messages += sent
        version = row.version + 1
        for write in commit.instances:
            if write.row is row:  # the second reaction of this instance in one Commit
                row.version, row.status, row.state = version, status, state
                break
        else:
            # a row of its own: what the slot holds must not change under a Commit that is being written
            row = slot.row = Instance(row.id, row.type, row.key, row.definition, version, status, state, row.number)
            commit.instances.append(InstanceWrite(row, version - 1))
        if reacted.timers or reacted.forgotten:
            self._schedule(commit, slot, lane, envelopes[0], reacted)
        if reacted.items:
            commit.items.extend(reacted.items)
        if reacted.recorded:
            commit.reactions.append(Reaction(row, version, envelopes, tuple(sent), status, state))
        return sent

    def _schedule(self, commit: Commit, slot: Slot, lane: Lane, cause: Envelope, reacted: Reacted) -> None:
        now, process = self._clock.now(), slot.consumer.name
        for timer in reacted.timers:
            envelope = Envelope(
                timer.id,
                "event",
                timer.type,
                timer.payload,
                cause.correlation_id,
                now,
                timer.version,
                cause.id,
                trace=cause.trace,
            )
            commit.deliveries.append(Delivery(envelope, process, lane.key, state="scheduled", due_at=timer.due_at))
        for id in reacted.forgotten:
            set_here = [one for one in commit.deliveries if one.state == "scheduled" and one.envelope.id == id]
            if set_here:  # set and forgotten in one Commit: it never was
                commit.deliveries.remove(set_here[0])
            else:
                commit.forgotten.append(id)

    def learnt(self, slot: Slot, given: Input, status: Status) -> bool:
        """Whether an instance that was in this status has other attributes after this input."""
        names = slot.consumer.attributes
        if not names or status in ENDED:
            return False
        known = slot.attributes or (slot.search.attributes if slot.search else NONE)
        slot.attributes = gathered(names, given.messages, known)
        return slot.attributes != known

    def describe(self, draft: Draft, slot: Slot, cause: Envelope) -> None:
        """An instance has come to another status, or has other attributes: those who look for it are shown that."""
        row, live = slot.row, slot.live
        now = self._clock.now()
        known = slot.search
        search = Search(
            row.id,
            row.type,
            row.key,
            row.status,
            known.correlation_id if known else cause.correlation_id,
            known.started_at if known else now,
            now,
            (known and known.ended_at) or (now if row.status in ENDED else None),
            live.cause,
            live.reason,
            known.trace_id if known else trace_id(cause.trace),
            slot.attributes or (known.attributes if known else NONE),
        )
        slot.search = search
        draft.commit.search.append(search)
