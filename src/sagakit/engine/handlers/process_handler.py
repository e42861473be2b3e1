"""Processes: an instance reacts inline in the Commit of what it is told, or later to a delivery of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Any

import structlog

from sagakit.core.commit import ENDED, Delivery, DeliveryChange, Envelope, Fence, Instance, Rejected
from sagakit.core.lifecycle import OWN, EventUnmatched
from sagakit.core.process import Input, Live, Reacted
from sagakit.core.streams import lane_name
from sagakit.engine.draft import DEEPEST, Draft
from sagakit.engine.handlers.notices import Notices
from sagakit.engine.handlers.processes.children import Children, as_outcome
from sagakit.engine.handlers.processes.early import Early
from sagakit.engine.handlers.processes.instances import Instances, Slot
from sagakit.engine.handlers.processes.parking import Parking
from sagakit.engine.handlers.processes.reactions import Reactions
from sagakit.engine.handlers.reading import Reader
from sagakit.engine.lanes.lane import Lane
from sagakit.engine.lanes.lanes import Lanes
from sagakit.engine.routing import Router
from sagakit.engine.topology import ProcessConsumer
from sagakit.errors import InvalidMessage, PayloadTooLarge, ProcessBug, UnknownMessage
from sagakit.ports import Store

BUGS = (ProcessBug, InvalidMessage, PayloadTooLarge, UnknownMessage)
"""What parks an instance: its code cannot go on, or its input cannot be read."""
STANDS = frozenset({"pause", "resume"})
"""What an operator may do to a parked instance that does not take up what it parked on."""

_log = structlog.get_logger("sagakit.processes")


class ProcessHandler:
    """Has instances react, and writes down what that leads to."""

    def __init__(
        self,
        router: Router,
        store: Store,
        read: Reader,
        lanes: Lanes,
        submit: Callable[[Draft], None],
        withdraw: Callable[[Draft, str], Awaitable[None]],
        notices: Notices,
        most: int,
    ) -> None:
        self._router = router
        self._topology = router.topology
        self._clock = router.clock
        self.instances = self._instances = Instances(router.topology, store, read)
        self._reactions = Reactions(router)
        self._children = Children(router, store, read)
        self._notices = notices
        self._early = Early(router, store, read)
        self._parking = Parking(store, read, router.clock, notices)
        self._lanes = lanes
        self._submit = submit
        self._withdraw = withdraw
        self._most = most
        self.inline = True
        """False while deliveries wait in the store unread: a reaction must not overtake them."""
        self.unread: set[str] = set()
        """Those whose deliveries do, where each consumer's are read for themselves."""
        self.is_paused: Callable[[str, str], bool] | None = None
        """Whether a lane of a process stands still; None while nothing does."""
        self._coming: dict[str, int] = {}
        """Lanes that Commits under way have deliveries for, by how many."""

    # ------------------------------------------------------------------ being told

    async def tell_sender(self, draft: Draft, sender: str, envelopes: tuple[Envelope, ...]) -> None:
        """Tell the instance that sent a command its outcome. `sender` is its lane: process/instance id.

        Also: tell the instance that a command has started to undo what it has done.
        """
        name, _, _ = sender.rpartition("/")
        process = self._topology.consumers.get(name)
        if isinstance(process, ProcessConsumer):
            await self.tell(draft, process, sender, None, envelopes)
        else:
            draft.deliver(envelopes[0], name, sender, envelopes[1:])

    async def tell(
        self, draft: Draft, process: ProcessConsumer, lane_key: str, key: str | None, envelopes: tuple[Envelope, ...]
    ) -> None:
        """React inline if the instance's lane is idle or in this very draft; else make it a delivery."""
        if not self.inline or lane_key in self._coming or draft.depth == DEEPEST:
            self.deliver(draft, process, lane_key, envelopes)
            return
        if process.name in self.unread or (self.is_paused is not None and self.is_paused(process.name, lane_key)):
            self.deliver(draft, process, lane_key, envelopes)
            return
        lane = self._lanes.get(lane_key)
        if not lane.busy:
            lane.busy = True
            draft.held.append(lane)
        elif lane not in draft.held or (lane.cache is not None and lane.cache.sending):
            self.deliver(draft, process, lane_key, envelopes)
            return
        draft.depth += 1
        try:
            if not await self._react(draft, process, lane, key, envelopes):
                self.deliver(draft, process, lane_key, envelopes)
        except BUGS:
            if draft.first and lane.cache is not None and not lane.cache.row.version:
                draft.first = False  # it may be there already: look before anything is said of it
                self.drop(lane)
                await self.tell(draft, process, lane_key, key, envelopes)
                return
            # the Commit of what it was told stands. What was told waits its turn, and parks at the head of its lane
            self.drop(lane)
            self.deliver(draft, process, lane_key, envelopes)
        finally:
            draft.depth -= 1

    def deliver(
        self, draft: Draft, process: ProcessConsumer, lane_key: str, envelopes: tuple[Envelope, ...]
    ) -> Delivery:
        """A delivery, which nothing may overtake inline from now on."""
        draft.coming.append(lane_key)
        self._coming[lane_key] = self._coming.get(lane_key, 0) + 1
        return draft.deliver(envelopes[0], process.name, lane_key, envelopes[1:])

    def came(self, draft: Draft) -> None:
        """The deliveries of a draft are in their lanes, or never will be."""
        for lane_key in draft.coming:
            left = self._coming[lane_key] - 1
            if left:
                self._coming[lane_key] = left
            else:
                del self._coming[lane_key]
        draft.coming.clear()

    def abandon(self, draft: Draft) -> None:
        """A draft is not written: what its processes did is forgotten, and their lanes go on."""
        self.came(draft)
        held, draft.held = draft.held, []
        for lane in held:
            self.drop(lane)
            self._lanes.release(lane)

    async def handle(self, lane: Lane, process: ProcessConsumer) -> None:
        """React to the queued deliveries of a lane, several in one Commit. One that fails is parked by itself."""
        draft = Draft(self._settled)
        draft.held.append(lane)
        run = list(islice(lane.queue, 1 if lane.alone else self._most))
        # a command that comes for the first time mostly starts what is not there: if it is, this is made again
        draft.first = first = not lane.alone and run[0].attempt == 1 and run[0].envelope.kind == "command"
        lane.alone = False
        try:
            count = await self._react_to_all(draft, process, lane, run)
        except BUGS as bug:
            if first and lane.cache is not None and not lane.cache.row.version:
                lane.alone = True  # it may be there already: look before anything is said of it
                self.abandon(draft)
                return
            draft.held.remove(lane)
            self.abandon(draft)
            self.drop(lane)
            await self.park(lane, process, run[0], bug)
            return
        except BaseException:
            self.abandon(draft)
            raise
        draft.subject = (lane, run[0], count)
        self._submit(draft)

    async def _react_to_all(self, draft: Draft, process: ProcessConsumer, lane: Lane, run: list[Delivery]) -> int:
        """How many of a run were taken: all up to one that waits, or fails. An error of the first is raised."""
        count = 0
        for delivery in run:
            if delivery.state != "ready":
                break
            envelopes = (delivery.envelope, *delivery.more)
            try:
                if not await self._react(draft, process, lane, self._key_of(process, delivery.envelope), envelopes):
                    break
            except BUGS:
                if not count:
                    raise
                self.drop(lane)
                break
            draft.finish(delivery)
            count += 1
        return count

    def _settled(self, draft: Draft, result: Rejected | BaseException | None) -> None:
        lane, first, count = draft.subject
        if result is None:
            self._lanes.remove(lane, count)
        elif isinstance(result, Rejected) and result.why == "conflict":
            lane.alone = True  # what was taken to be new may be there: look
        elif isinstance(result, Rejected) and result.why == "gone":
            lane.alone = count > 1
            if count == 1:
                self._lanes.remove_head(lane, first)

    # ------------------------------------------------------------------ reacting

    async def _react(
        self, draft: Draft, process: ProcessConsumer, lane: Lane, key: str | None, envelopes: tuple[Envelope, ...]
    ) -> bool:
        """False: it wants to read what this very Commit changes, and takes this with a later one."""
        slot: Slot | None = lane.cache
        first = envelopes[0]
        if len(envelopes) == 1 and first.message is not None:  # as mostly
            given = Input(envelopes, (first.message,))
        else:
            given = Input(envelopes, tuple([self._instances.message(envelope) for envelope in envelopes]))
        starts = key is not None and isinstance(given.messages[0], process.current.starts_with)
        if slot is None and not (starts and draft.first):
            slot = lane.cache = await self._instances.load(process, lane.key.rpartition("/")[2])
        if first.kind == "command" and await self._children.turned_away(draft, slot, first):
            return True
        if slot is None:
            if key is None or not starts:
                return self._early.finds_nobody(draft, process, lane, first)
            if process.early_for and self._early.is_writing(draft, lane):
                return False
            slot = self._start(process, lane, key)
            if process.early_for:
                await self._early.started(draft, process, lane)
        elif given.messages[0].__class__ is EventUnmatched:
            await self._early.given_up(draft, process, lane, first)
            return True
        return await self._take(draft, slot, lane, given, starts=starts)

    async def _take(self, draft: Draft, slot: Slot, lane: Lane, given: Input, *, starts: bool) -> bool:
        """An instance reacts. False: as for `_react`."""
        process, envelopes = slot.consumer, given.envelopes
        wanted = slot.live.wants(given)
        if wanted:
            if any(write.row is slot.row for write in draft.commit.instances):
                return False
            given.items = await self._instances.items(slot.row.id, wanted)
        before = slot.row.status
        if process.answers and starts and (envelopes[0].kind == "command" or not slot.row.version):
            slot.began = envelopes[0]  # a start that comes for a used key was turned away
        reacted, state = _reaction(slot.live, given)
        sent = self._reactions.write(draft, slot, lane, envelopes, reacted, state)
        if reacted.verdicts:
            for verdict in reacted.verdicts:
                draft.verdicts.append((process.name, verdict))
        row = slot.row
        changed = row.status != before
        learnt = process.attributes and self._reactions.learnt(slot, given, before)
        if changed or learnt or row.version == 1:
            if process.answers and row.status in ENDED:
                await self._end(draft, slot, given, sent, reacted)
                return True
            self._reactions.describe(draft, slot, given.envelopes[0])
        if len(sent) == 1 and sent[0].kind == "command" and not reacted.withdrawn:  # as most reactions
            if not self._router.to_handler(draft, sent[0]):
                await self._send(draft, slot, sent, reacted)
        elif sent or reacted.withdrawn:
            await self._send(draft, slot, sent, reacted)
        if changed:
            await self._notice(draft, slot, given)
        return True

    async def _notice(self, draft: Draft, slot: Slot, given: Input) -> None:
        live = slot.live
        if self._notices.wanted:
            await self._notices.changed(draft, slot.row, live.status, live.cause, live.reason, given.envelopes[0])

    async def _end(self, draft: Draft, slot: Slot, given: Input, sent: list[Envelope], reacted: Reacted) -> None:
        """An instance that a command may have started has ended: whoever sent that is told, once."""
        asked = await self._children.asked(slot)
        if slot.search is not None and slot.search.ended_at is not None:
            asked = None  # it had ended before; since then an undo of something late was given up, and settled
        self._reactions.describe(draft, slot, given.envelopes[0])
        if asked is None:
            await self._send(draft, slot, sent, reacted)
            if given.envelopes[0].kind == "command":  # the cancel of a child whose start has failed
                await self._router.outcome(draft, given.envelopes[0], ())
        else:
            last = len(sent) - len(reacted.answers)
            answers = sent[last:]
            as_outcome(answers, asked)
            await self._send(draft, slot, sent[:last], reacted)
            await self._children.tell_end(draft, slot, asked, answers)
        await self._notice(draft, slot, given)

    async def operate(self, draft: Draft, lane: Lane, slot: Slot, envelope: Envelope) -> Reacted:
        """Have an instance take an operator's action, whatever else waits in its lane. Raises what forbids it."""
        given = Input((envelope,), (envelope.message,))
        before = slot.row.status
        if wanted := slot.live.wants(given):
            given.items = await self.instances.items(slot.row.id, wanted)
        reacted = slot.live.react(given)
        sent = self._reactions.write(draft, slot, lane, given.envelopes, reacted, slot.live.snapshot())
        if before == "parked" and envelope.message.action in STANDS:
            slot.row.status = before  # its input is still at the head of its lane
            return reacted
        changed = slot.live.status != before
        if changed and slot.live.status in ENDED and slot.answers:
            await self._end(draft, slot, given, sent, reacted)
            return reacted
        if changed:
            self._reactions.describe(draft, slot, envelope)
        await self._send(draft, slot, sent, reacted)
        if changed:
            await self._notice(draft, slot, given)
        return reacted

    async def give_up(self, draft: Draft, message_id: str) -> None:
        """A command is given up with this draft, by whoever decides."""
        await self._withdraw(draft, message_id)

    def _start(self, process: ProcessConsumer, lane: Lane, key: str) -> Slot:
        definition = process.current
        id = lane.key.rpartition("/")[2]
        row = Instance(id, process.name, key, definition.version, 0, "running", b"")
        slot = lane.cache = Slot(process, row, definition.start(id, key))
        return slot

    async def _send(self, draft: Draft, slot: Slot, sent: Sequence[Envelope], reacted: Reacted) -> None:
        slot.sending = True
        try:
            for envelope in sent:
                if envelope.kind == "command":
                    await self._router.commands(draft, (envelope,))
                elif envelope.message.__class__ in OWN:
                    self.deliver(draft, slot.consumer, lane_name(slot.row.type, slot.row.id), (envelope,))
                else:
                    await self._router.published(draft, (envelope,))
            for command_id in reacted.withdrawn:
                await self._withdraw(draft, command_id)
        finally:
            slot.sending = False

    def _key_of(self, process: ProcessConsumer, envelope: Envelope) -> str | None:
        message = self._instances.message(envelope)
        return process.key(message) if isinstance(message, process.current.starts_with) else None

    def settled(self, draft: Draft) -> None:
        """A draft is durable: the lanes of its processes go on. An instance that has ended leaves the memory."""
        for lane in draft.held:
            if not lane.queue and lane.cache is not None and lane.cache.row.status in ENDED:
                self.drop(lane)
            self._lanes.release(lane)

    def drop(self, lane: Lane) -> None:
        """Forget an instance: it is loaded anew."""
        slot, lane.cache = lane.cache, None
        if slot is not None:
            slot.live.evict()

    def evicted(self, cache: Any) -> None:
        """A lane has left the memory."""
        if isinstance(cache, Slot):
            cache.live.evict()

    # ------------------------------------------------------------------ parking

    async def park(self, lane: Lane, process: ProcessConsumer, delivery: Delivery, bug: Exception) -> None:
        """The head of a lane cannot be handled: it waits for a person, and its instance with it."""
        draft = Draft(self._parked, (lane, delivery, str(bug)))
        draft.held.append(lane)
        change = DeliveryChange(
            Fence(delivery.id, delivery.attempt), "parked", delivery.attempt, 0, delivery.crashes, str(bug)
        )
        draft.commit.changes.append(change)
        draft.handled.append(delivery)
        try:
            key = self._key_of(process, delivery.envelope)
        except Exception:  # what cannot be read has no key
            key = None
        try:
            self.drop(lane)
            await self._parking.write(draft, process, lane, key, delivery.envelope, bug)
        except BaseException:
            self.abandon(draft)
            raise
        self._submit(draft)

    def _parked(self, draft: Draft, result: Rejected | BaseException | None) -> None:
        lane, delivery, error = draft.subject
        if result is None:
            self._lanes.park(delivery, error)
        elif isinstance(result, Rejected) and result.why == "gone":
            self._lanes.remove_head(lane, delivery)


def _reaction(live: Live, given: Input) -> tuple[Reacted, bytes]:
    """What an instance does, and the state that it is in then."""
    try:
        return live.react(given), live.snapshot()
    except BUGS:
        raise
    except Exception as error:
        _log.exception("a reaction failed inside the library")
        raise ProcessBug(f"{type(error).__name__}: {error}") from error
