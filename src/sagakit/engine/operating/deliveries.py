"""What an operator does to a delivery: have it tried again, put another message in its place, or drop it."""

from __future__ import annotations

from functools import partial
from typing import Protocol

import msgspec

from sagakit.core.commit import Delivery, Envelope, Fence
from sagakit.core.lifecycle import OperatorActed
from sagakit.engine.handlers.processes.instances import Slot
from sagakit.engine.handlers.processes.parentage import FIRST_FEW, first_input
from sagakit.engine.lanes.lane import Lane
from sagakit.engine.lanes.lanes import Lanes
from sagakit.engine.operating.acting import Act, Acted, Acting
from sagakit.engine.operating.instances import InstanceActions, as_json
from sagakit.engine.routing import BAD_KEY, Router
from sagakit.engine.topology import Consumer, ProcessConsumer, ServiceConsumer
from sagakit.errors import InvalidMessage, NotFound, NotPossible
from sagakit.ports import Store


class Recovered(Protocol):
    """What is known of deliveries that are in no lane."""

    reading: bool
    """Whether deliveries wait in the store unread."""

    def is_stranded(self, id: int) -> bool:
        """Whether nobody claims this delivery."""
        ...

    def dropped(self, id: int) -> None:
        """One that nobody claimed is not there any more."""
        ...


class DeliveryActions:
    """Carries out actions on deliveries."""

    def __init__(self, router: Router, store: Store, lanes: Lanes, instances: InstanceActions, acting: Acting) -> None:
        self._router = router
        self._topology = router.topology
        self._store = store
        self._lanes = lanes
        self._instances = instances
        self._acting = acting
        self.recovery: Recovered | None = None

    async def read(self, id: int) -> Delivery:
        """A delivery as it is stored."""
        delivery = await self._store.read_delivery(id)
        if delivery is None:
            raise NotFound(
                f"there is no delivery {id}: it was handled, or never was; sagakit deliveries list shows all"
            )
        return delivery

    async def retry(self, id: int, acted: OperatorActed) -> Acted:
        """Try a parked or retrying message now."""
        delivery = await self.read(id)
        if delivery.state in ("ready", "scheduled"):
            why = "it is to be handled anyway" if delivery.state == "ready" else "it is not due"
            raise NotPossible(f"retry: the delivery is {delivery.state}: {why}")
        act, lane, instance = await self._begin(delivery, acted)
        try:
            known = self._known(delivery, lane)
            consumer = self._consumer(known)
            if lane.key.startswith(BAD_KEY):
                await self._route_anew(act, lane, known, consumer)
            else:
                if instance is not None:
                    await self._tell(act, instance)
                if not any(change.fence.delivery == id for change in act.draft.commit.changes):
                    act.try_anew(known)
        except BaseException:
            self._acting.abandon(act)
            raise
        return await self._commit(act, id, instance)

    async def drop(self, id: int, acted: OperatorActed) -> Acted:
        """Take a parked message away. For a process that is the input taken away; an undo counts as done."""
        delivery = await self.read(id)
        unclaimed = self.recovery is not None and self.recovery.is_stranded(id)
        if not unclaimed:
            _parked(delivery, "drop")
        if await self._starts(delivery):
            acted = msgspec.structs.replace(acted, action="abandon", details=acted.details | {"dropped": "its start"})
        act, lane, instance = await self._begin(delivery, acted)
        try:
            known = next((one for one in lane.queue if one.id == id), None)
            if known is not None:
                _parked(known, "drop")
            act.draft.commit.done.append(Fence(id, delivery.attempt))
            if known is not None:
                self._dropped(act, lane, known)
            if unclaimed and self.recovery is not None:
                act.afterwards(partial(self.recovery.dropped, id))
            if instance is not None:
                await self._tell(act, instance)
            if acted.action == "abandon":
                reason = f"{delivery.consumer}: its start was dropped: {acted.reason}"
                await self._router.refused(act.draft, delivery.envelope, reason)
        except BaseException:
            self._acting.abandon(act)
            raise
        return await self._commit(act, id, instance)

    async def _starts(self, delivery: Delivery) -> bool:
        """Whether it is what was to start an instance: without it that never begins, and is at its end."""
        if not isinstance(self._topology.consumers.get(delivery.consumer), ProcessConsumer):
            return False
        id = delivery.lane.rpartition("/")[2]
        instance = await self._store.read_instance(id)
        return instance is not None and first_input(await self._store.read_history(id, limit=FIRST_FEW)) is None

    async def edit(
        self,
        id: int,
        acted: OperatorActed,
        payload: object,
        *,
        message: str | None = None,
        keep_key: bool = False,
        undo_first: bool = False,
    ) -> Acted:
        """Put another message in the place of a parked one, at the head of its lane, and try that.

        `keep_key`: under the same message id, so that whoever has done it already knows it. `undo_first`: what an
        attempt may have done is undone, so that it goes out under an id of its own.
        """
        delivery = _parked(await self.read(id), "edit")
        self._check_effect(delivery, keep_key=keep_key, undo_first=undo_first)
        messages, changed = self._edited(delivery, payload, message, keep_key=keep_key)
        acted = msgspec.structs.replace(
            acted,
            type=changed.type,
            version=changed.version,
            payload=msgspec.Raw(changed.payload),
            details=acted.details | {"message_id": changed.id, "key": "kept" if keep_key else "new"},
        )
        act, lane, instance = await self._begin(delivery, acted)
        try:
            known = _parked(self._known(delivery, lane), "edit")
            act.draft.commit.messages += messages
            if instance is not None:
                await self._tell(act, instance)
            act.try_anew(known, messages)
        except BaseException:
            self._acting.abandon(act)
            raise
        return await self._commit(act, id, instance)

    # ------------------------------------------------------------------ lanes and instances

    async def _begin(self, delivery: Delivery, acted: OperatorActed) -> tuple[Act, Lane, tuple[Lane, Slot] | None]:
        """Claim what the action touches. An instance's lane comes first, so that two actions never wait in a ring."""
        envelope = delivery.envelope
        is_undo = envelope.undoes is not None and envelope.sender is not None
        owner = envelope.sender if is_undo else None
        if isinstance(self._topology.consumers.get(delivery.consumer), ProcessConsumer):
            owner = owner or (None if delivery.lane.startswith(BAD_KEY) else delivery.lane)
        acted = msgspec.structs.replace(acted, command_id=envelope.id if is_undo else "")
        act = self._acting.begin(acted, envelope.correlation_id, envelope.id)
        try:
            instance = None if owner is None else await self._instance(act, owner, acted.action)
            lane = instance[0] if instance and owner == delivery.lane else None
            return act, lane or await self._acting.claim(act, delivery.lane), instance
        except BaseException:
            self._acting.abandon(act)
            raise

    async def _instance(self, act: Act, key: str, action: str) -> tuple[Lane, Slot] | None:
        """The instance that is told of an action. None if it has not come to be."""
        lane = await self._lanes.claim(key)
        act.draft.held.append(lane)
        try:
            return lane, await self._instances.slot(lane, action)
        except NotFound:
            act.draft.held.remove(lane)
            act.lanes.append(lane)
            return None

    async def _tell(self, act: Act, instance: tuple[Lane, Slot]) -> None:
        await self._instances.react(act, *instance)

    async def _commit(self, act: Act, id: int, instance: tuple[Lane, Slot] | None) -> Acted:
        row = instance[1].row if instance else None
        await self._acting.commit(act)
        status, version = (row.status, row.version) if row else ("", 0)
        return Acted(act.envelope.id, act.acted.action, str(id), status, version)

    def _known(self, delivery: Delivery, lane: Lane) -> Delivery:
        """The delivery as it stands in its lane."""
        for known in lane.queue:
            if known.id == delivery.id:
                return known
        if self.recovery is not None and self.recovery.reading:
            raise NotPossible("the engine still reads what is outstanding: try again in a moment")
        raise NotPossible(f"delivery {delivery.id}: nobody claims {delivery.envelope.type} for {delivery.consumer}")

    def _consumer(self, delivery: Delivery) -> Consumer:
        return self._topology.consumers[delivery.consumer]

    # ------------------------------------------------------------------ other messages, other lanes

    def _edited(
        self, delivery: Delivery, payload: object, message: str | None, *, keep_key: bool
    ) -> tuple[list[Envelope], Envelope]:
        """The messages of a delivery with new ones in their place, and the one whose payload is another."""
        there = (delivery.envelope, *delivery.more)
        names = [one.type for one in there]
        if message is not None and message not in names:
            raise NotPossible(f"message: the delivery holds {', '.join(names)}, no {message}")
        place = names.index(message) if message else 0
        codec = self._topology.codecs.named(names[place])
        new = codec.decode(as_json(payload))
        renewed: list[Envelope] = []
        for index, old in enumerate(there):
            one = self._renewed(old, keep_key=keep_key)
            if index == place:
                one.payload, one.version, one.message = codec.encode(new), codec.version, new
            renewed.append(one)
        return renewed, renewed[place]

    def _renewed(self, old: Envelope, *, keep_key: bool) -> Envelope:
        """The same message once more. An event keeps its cause, by which it finds the step that it belongs to.

        A command that starts a process keeps its id, by which whoever has sent it is told the end of that.
        """
        keep_key = keep_key or (old.kind == "command" and old.sender is not None and old.undoes is None)
        keeps_cause = keep_key or old.kind == "event"
        return msgspec.structs.replace(
            old,
            id=old.id if keep_key else self._acting.new_id(),
            recorded_at=self._router.clock.now(),
            causation_id=old.causation_id if keeps_cause else old.id,
            stream=None,
            stream_version=None,
            position=0,
        )

    def _check_effect(self, delivery: Delivery, *, keep_key: bool, undo_first: bool) -> None:
        """What has touched the world may have done so, whatever it said: the operator has to decide."""
        consumer = self._topology.consumers.get(delivery.consumer)
        touches = isinstance(consumer, ServiceConsumer) and consumer.role != "forwarder"
        if keep_key and undo_first:
            raise InvalidMessage("keep_key and undo_first: choose one of them")
        if touches and not delivery.lane.startswith(BAD_KEY) and not (keep_key or undo_first):
            raise NotPossible(
                f"an attempt of {delivery.envelope.type} may have had an effect: choose keep_key (it goes out under "
                "the same key: whoever has done it already knows it) or undo_first (you have undone what was done)"
            )

    async def _route_anew(self, act: Act, lane: Lane, known: Delivery, consumer: Consumer) -> None:
        """A message whose key could not be found: if it can be now, into the lane that it belongs to."""
        act.draft.finish(known)
        if not self._router.route_anew(act.draft, consumer, known.envelope):
            raise NotPossible(self._router.why_no_key(consumer, known.envelope))
        self._dropped(act, lane, known)

    def _dropped(self, act: Act, lane: Lane, known: Delivery) -> None:
        act.afterwards(lambda: self._lanes.drop(lane, known))


def _parked(delivery: Delivery, action: str) -> Delivery:
    if delivery.state != "parked":
        raise NotPossible(f"{action}: the delivery is {delivery.state}: only a parked one can be taken away or edited")
    return delivery
