"""The stories that somebody waits for or watches. As long as one goes as it should, it is not followed any closer."""

from __future__ import annotations

from sagakit.core.commit import Delivery, Instance
from sagakit.engine.draft import Draft
from sagakit.engine.watching.reach import Reach
from sagakit.engine.watching.story import Story, Waiter
from sagakit.engine.watching.tracking import Tracking
from sagakit.engine.watching.verdicts import Handled, failure_of, failure_of_parked, outcome_in, refusal
from sagakit.errors import Stopping


class Stories:
    """Stories by correlation id. Nothing is kept of a story that nobody asks for."""

    def __init__(self, reach: Reach, tracking: Tracking) -> None:
        self._reach = reach
        self._tracking = tracking
        self.by_id: dict[str, Story] = {}
        self.ended: str | None = None
        """Why nobody is told anything any more."""

    @property
    def waiters(self) -> int:
        """Who waits for an event of a story, or watches one."""
        return sum(max(len(story.waiters), 1) for story in self.by_id.values())

    def get(self, correlation_id: str, *, tracked: bool) -> Story:
        """The story of this id; `tracked`: it is to be known what is under way in it."""
        story = self.by_id.get(correlation_id)
        if story is None:
            story = self.by_id[correlation_id] = Story(correlation_id, self._reach)
        if tracked and not story.tracked:
            self._tracking.begin(story)
        return story

    def leave(self, story: Story) -> None:
        """Somebody waits or watches no longer."""
        if not story.waiters and not story.watchers and self.by_id.pop(story.correlation_id, None) and story.tracked:
            self._tracking.end(story)

    def end(self, why: str) -> None:
        """Those who wait are told nothing more."""
        self.ended = self.ended or why
        for story in self.by_id.values():
            for waiter in story.waiters:
                waiter.fail(Stopping(why))

    def end_watches(self, why: str) -> None:
        """Those who watch are told nothing more."""
        for story in self.by_id.values():
            for watcher in story.watchers:
                watcher.fail(Stopping(why))

    def committed(self, draft: Draft) -> None:
        """A Commit is durable: tell those whom it concerns."""
        last, story = "", None
        for envelope in draft.commit.messages:
            if envelope.correlation_id != last:  # most Commits are of one story
                if story is not None:
                    self._doubts(story, draft)
                last = envelope.correlation_id
                story = self.by_id.get(last)
            if story is not None:
                story.position = max(story.position, envelope.position)
                if envelope.message.__class__ in story.awaited:
                    story.answer(envelope.message)
        if story is not None:
            self._doubts(story, draft)
        self._beside_messages(draft, last)
        if self._tracking.by_id:
            self._tracking.committed(draft)

    def _beside_messages(self, draft: Draft, last: str) -> None:
        """What a Commit says of stories of which it has no message."""
        for delivery in draft.handled:
            if delivery.envelope.correlation_id != last:
                self._doubts(self.by_id.get(delivery.envelope.correlation_id), draft)
        for search in draft.commit.search:
            if search.correlation_id != last:
                self._doubts(self.by_id.get(search.correlation_id), draft)

    def _doubts(self, story: Story | None, draft: Draft) -> None:
        if story is not None and not story.tracked:
            for waiter in story.waiters:
                if not waiter.settled:
                    if self._is_on_its_way(waiter, draft):
                        waiter.reachable = True
                    else:
                        self._doubt(waiter, draft)

    # ------------------------------------------------------------------ whether it may still come

    def _doubt(self, waiter: Waiter, draft: Draft) -> None:
        """This Commit does not go on towards what is awaited: have it looked at, unless another one may."""
        for failed in draft.stories:
            if failed.correlation_id == waiter.story.correlation_id:
                waiter.fail(failed.error)  # the story has not even begun
                return
        lost = [one for one in draft.handled if self._may_lead_to(one, waiter)]
        reason = self._failure(waiter, draft) or refusal(waiter, self._handled(lost, draft))
        goes_on = any(one.envelope.correlation_id == waiter.story.correlation_id for one in draft.commit.deliveries)
        if lost or reason is not None or not (waiter.reachable or goes_on) or self._is_answer(waiter, draft):
            waiter.doubt(reason)

    def _is_answer(self, waiter: Waiter, draft: Draft) -> bool:
        """Whether a participant has answered, or an operator acted: nothing of the story was handled here for it."""
        story = waiter.story.correlation_id
        return not any(one.envelope.correlation_id == story for one in draft.handled) and any(
            one.correlation_id == story for one in draft.commit.messages
        )

    def _is_on_its_way(self, waiter: Waiter, draft: Draft) -> bool:
        for write in draft.commit.instances:  # first: that is the cheaper look, and mostly enough
            row = write.row
            if row.type in waiter.processes if row.status == "running" else self._may_still(row, waiter):
                return True
        return any(one.state != "parked" and self._may_lead_to(one, waiter) for one in draft.commit.deliveries)

    def _may_still(self, row: Instance, waiter: Waiter) -> bool:
        return not self._reach.of_instance(row).isdisjoint(waiter.until)

    def _may_lead_to(self, delivery: Delivery, waiter: Waiter) -> bool:
        return delivery.envelope.correlation_id == waiter.story.correlation_id and not self._reach.of_delivery(
            delivery
        ).isdisjoint(waiter.until)

    def _handled(self, deliveries: list[Delivery], draft: Draft) -> list[Handled]:
        """The commands among them that no process has sent, with what they have led to."""
        commands = [one for one in deliveries if one.envelope.kind == "command" and one.envelope.sender is None]
        return [
            Handled(one.envelope.type, self._reach.of_delivery(one), outcome_in(draft.commit, one.envelope))
            for one in commands
        ]

    def _failure(self, waiter: Waiter, draft: Draft) -> Exception | None:
        """The last one that this Commit tells of in a story."""
        story, commit = waiter.story.correlation_id, draft.commit
        found: list[Exception] = []
        errors = {one.fence.delivery: one.error for one in commit.changes if one.state == "parked"}
        for delivery in (*draft.handled, *commit.deliveries):
            if delivery.envelope.correlation_id == story:
                if delivery.id in errors:
                    found.append(failure_of_parked(delivery, errors[delivery.id]))
                elif delivery.state == "parked":
                    found.append(failure_of_parked(delivery, delivery.error))
        found += [error for search in commit.search if search.correlation_id == story and (error := failure_of(search))]
        return found[-1] if found else None
