"""The events that the engine tells of itself: written in the Commit that makes them true, where somebody takes them."""

from __future__ import annotations

from typing import Any

from sagakit.core.commit import ENDED, Cause, Delivery, Envelope, Instance, Status
from sagakit.core.lifecycle import TOLD, CommandParked, CompensationFailed, ProcessParked, ProcessSettled
from sagakit.core.streams import lane_name
from sagakit.engine.draft import Draft
from sagakit.engine.routing import Router

MOST = 4_000
"""Characters of an error that are told."""


class Notices:
    """Adds them to drafts."""

    def __init__(self, router: Router) -> None:
        self._router = router
        topology = router.topology
        self.wanted = TOLD.intersection(topology.takers)
        """Those that somebody takes."""
        self._names = {topology.codecs.by_class[cls].name for cls in self.wanted}
        # of a process that starts with such an event none is told: it would start others without an end
        starters = {process.name for cls in self.wanted for process in topology.starters.get(cls, ())}
        self._silent = frozenset(starters)

    async def changed(
        self, draft: Draft, row: Instance, status: Status, cause: Cause, reason: str, given: Envelope
    ) -> None:
        """An instance has come to another status by what it was given."""
        if status in ENDED and ProcessSettled in self.wanted:
            await self._of(draft, row, given, ProcessSettled(row.type, row.key, row.id, status, cause, reason[:MOST]))
        elif status == "compensation_failed" and CompensationFailed in self.wanted:
            await self._of(draft, row, given, CompensationFailed(row.type, row.key, row.id, reason[:MOST]))

    async def parked(self, draft: Draft, row: Instance, given: Envelope, error: str) -> None:
        """An instance is parked on what it was given."""
        if ProcessParked in self.wanted:
            await self._of(draft, row, given, ProcessParked(row.type, row.key, row.id, given.type, error[:MOST]))

    async def given_up(self, draft: Draft, delivery: Delivery, error: str) -> None:
        """A delivery is parked that is no instance's."""
        envelope = delivery.envelope
        # whoever cannot handle these events is not told of that by one of them
        if CommandParked not in self.wanted or envelope.type in self._names:
            return
        message = CommandParked(
            envelope.id,
            envelope.type,
            envelope.kind,
            delivery.consumer,
            envelope.correlation_id,
            delivery.attempt,
            error[:MOST],
        )
        await self._tell(draft, envelope, message, delivery.consumer, delivery.attempt, None)

    async def _of(self, draft: Draft, row: Instance, given: Envelope, message: Any) -> None:
        if row.type not in self._silent:
            lane = lane_name(row.type, row.id)
            await self._tell(draft, given, message, lane, row.version, lane)

    async def _tell(
        self, draft: Draft, given: Envelope, message: Any, about: str, count: int, told: str | None
    ) -> None:
        maker = f"{about} {message.__class__.__name__}"
        event = self._router.envelope(given, maker, count, message, self._router.clock.now())
        if given.kind == "command":
            event.sender = about  # else it would be an outcome of that command
        draft.commit.messages.append(event)
        await self._router.noticed(draft, event, told)
