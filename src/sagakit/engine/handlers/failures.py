"""What becomes of a delivery that failed: another attempt, a failure told to its process, or a wait for a person."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from sagakit.core.commit import Delivery, DeliveryChange, Fence, Rejected
from sagakit.core.display import log_fields
from sagakit.core.retry import DEFAULT, Retry, next_delay
from sagakit.engine.draft import Draft, Failure
from sagakit.engine.handlers.notices import Notices
from sagakit.engine.lanes.lane import Lane
from sagakit.engine.lanes.lanes import Lanes
from sagakit.engine.routing import Router
from sagakit.engine.time.timers import Timers
from sagakit.errors import Refused, StaleVersion
from sagakit.ports import Chance

MICROSECONDS = 1_000_000
MOST_CRASHES = 3

_log = structlog.get_logger("sagakit.deliveries")


class Failures:
    """Applies a delivery's retries, and gives it up by the rules of who gives up how."""

    def __init__(
        self,
        router: Router,
        lanes: Lanes,
        timers: Timers,
        submit: Callable[[Draft], None],
        chance: Chance,
        notices: Notices,
    ) -> None:
        self._router = router
        self._clock = router.clock
        self.lanes = lanes
        self._timers = timers
        self._submit = submit
        self._chance = chance
        self._notices = notices

    async def failed(self, lane: Lane, delivery: Delivery, error: Exception, retries: Sequence[Retry]) -> None:
        """An attempt of the head of a lane failed."""
        if self.lanes.find(lane.key) is not lane:  # it has become another engine's: this was nobody's attempt
            self.lanes.release(lane)
            return
        if isinstance(error, Refused) and delivery.envelope.kind == "command":
            await self.give_up(lane, delivery, error.reason, known_not_done=True)
            return
        # crashes have a count of their own; what was before an operator had it tried anew counts no more
        attempt = delivery.attempt - delivery.crashes - delivery.spent
        wait = next_delay(retries or DEFAULT, error, attempt, self._chance.share())
        reason = _in_words(error)
        if wait is None:
            await self.give_up(lane, delivery, reason, known_not_done=isinstance(error, StaleVersion))
            return
        named = log_fields(delivery.envelope)
        _log.warning("retrying", **named, attempt=delivery.attempt, wait=round(wait, 3), error=reason)
        due = self._clock.now() + int(wait * MICROSECONDS)
        draft = Draft(self._retrying, (lane, delivery, due, reason))
        draft.retried = delivery
        draft.commit.changes.append(
            DeliveryChange(
                Fence(delivery.id, delivery.attempt), "retrying", delivery.attempt + 1, due, delivery.crashes, reason
            )
        )
        self._submit(draft)

    def _retrying(self, draft: Draft, result: Rejected | BaseException | None) -> None:
        lane, delivery, due, reason = draft.subject
        if result is None:
            delivery.state, delivery.due_at, delivery.error = "retrying", due, reason
            delivery.attempt += 1
            if lane.queue and lane.queue[0] is delivery:
                self.wait(lane, delivery)
            else:  # given up meanwhile
                self.lanes.release(lane)
        elif isinstance(result, Rejected):
            self._gone(lane, delivery)

    def wait(self, lane: Lane, delivery: Delivery) -> None:
        """The head of a lane is tried again when it is due; the lane waits with it."""
        due = delivery.due_at
        self._timers.at(due, lambda: self._due(lane, delivery, due))
        self.lanes.came_to_rest(lane)

    def _due(self, lane: Lane, delivery: Delivery, due: int) -> None:
        if delivery.state != "retrying" or delivery.due_at != due:  # an operator had it tried before
            return
        delivery.state = "ready"
        if lane.queue and lane.queue[0] is delivery:
            self.lanes.wake(lane)

    async def give_up(self, lane: Lane, delivery: Delivery, reason: str, *, known_not_done: bool = False) -> None:
        """No further attempt: a step's command fails to its process, anything else parks."""
        envelope = delivery.envelope
        sender = envelope.sender if envelope.kind == "command" else None
        parks = sender is None or envelope.undoes is not None
        if known_not_done and sender is None:
            parks = False
        _log.error("given up", **log_fields(envelope), attempts=delivery.attempt, error=reason, parked=parks)
        draft = Draft(self._given_up, (lane, delivery, parks, reason))
        if parks:
            fence = Fence(delivery.id, delivery.attempt)
            draft.commit.changes.append(DeliveryChange(fence, "parked", delivery.attempt, 0, delivery.crashes, reason))
            draft.handled.append(delivery)
        else:
            draft.finish(delivery)
        try:
            if parks:
                await self._notices.given_up(draft, delivery, reason)
            if sender is not None:
                await self._router.failure(draft, envelope, reason, known_not_done=known_not_done, spent=delivery.spent)
        except BaseException:
            self._router.processes.abandon(draft)
            raise
        if sender is None and known_not_done:
            draft.stories.append(Failure(envelope.correlation_id, Refused(reason)))
        self._submit(draft)

    def _given_up(self, draft: Draft, result: Rejected | BaseException | None) -> None:
        lane, delivery, parks, reason = draft.subject
        if isinstance(result, Rejected):
            if result.why == "gone":
                self._gone(lane, delivery)
            else:
                self.lanes.release(lane)  # a process has moved on: try the same again
        elif result is None and parks:
            self.lanes.park(delivery, reason)
            self.lanes.came_to_rest(lane)
        elif result is None:
            self._gone(lane, delivery)

    def _gone(self, lane: Lane, delivery: Delivery) -> None:
        self.lanes.remove_head(lane, delivery)
        self.lanes.release(lane)


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")
