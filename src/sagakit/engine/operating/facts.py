"""What is known of an instance or a delivery that stands still: read from a store, and from the code if it is at hand.

Without a topology (nobody runs the app here) what needs the code stays unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import msgspec
from msgspec import Struct

from sagakit.core.codec import Codecs
from sagakit.core.commit import ENDED, Delivery, Envelope, History, Instance, Pause, Search
from sagakit.core.display import record_of
from sagakit.core.lifecycle import ACTED, HANDED_OVER, HandedOver
from sagakit.core.process import Input
from sagakit.core.queries import DeliveryQuery, OwnerSeen
from sagakit.core.saga.compensation import SagaRecord
from sagakit.core.saga.step_saga import StepSaga
from sagakit.core.streams import lane_name
from sagakit.engine.handlers.processes.instances import NOT_DECLARED
from sagakit.engine.limiting.throttle import Waiting
from sagakit.engine.routing import BAD_KEY
from sagakit.engine.topology import ProcessConsumer, ServiceConsumer, Topology
from sagakit.errors import NotFound, TerminalError
from sagakit.ports import Store

SEEN = 20
"""Deliveries of one kind that are looked at: the head decides."""
STORY = 1_000
"""Parked deliveries that are searched for those of the same story."""
HISTORY_PAGE = 1_000
UNDER_WAY = frozenset({"sent", "undoing"})
"""The states of steps that have a command out: the do or its undo."""


class Standing(Struct):
    """A delivery, and what keeps it."""

    delivery: Delivery
    head: Standing | None = None
    """The head of its lane, where it is another one."""
    pause: Pause | None = None
    undeclared: bool = False
    """Its consumer is not there in the code (or was not, when an engine last ran)."""
    unreadable: str = ""
    """Why nobody can decode it."""
    touches: bool = True
    """Its handling may have had an effect outside."""
    limit: Waiting | None = None
    """The limit of its handler that it waits for, or that the head of its lane does."""
    perhaps: str = ""
    """What else may keep it, in words, where only the worker that has it can tell."""


class Child(Struct):
    """A child that an instance waits for."""

    command_id: str
    id: str
    status: str


class Handed(Struct):
    """A command that was handed over to a participant, and has no answer yet."""

    command_id: str
    type: str
    handler: str
    to: str
    since: int


class Facts(Struct, kw_only=True):
    """All that an explanation is made of."""

    now: int
    row: Instance
    search: Search
    own: list[Standing]
    """What waits in the lane of the instance, in order."""
    sent: list[Standing]
    """The commands of the instance that are outstanding."""
    story: list[Standing]
    """Parked messages of the same story, which are neither."""
    scheduled: list[Delivery]
    children: list[Child]
    handed: list[Handed]
    """Its commands that wait for the answer of a participant; looked for where nothing of it is outstanding."""
    last: History | None
    """Its last reaction."""
    pause: Pause | None
    owner: OwnerSeen | None
    runs: bool
    """The engine itself explains."""
    code: str = ""
    """Why there is no code for the instance."""
    contradiction: str = ""
    """Where its code contradicts what is recorded."""
    steps: tuple[str, ...] = ()
    """The names of the steps of a step saga."""


class Gathering:
    """Gathers facts from a store."""

    def __init__(
        self,
        store: Store,
        topology: Topology | None,
        now: int,
        *,
        runs: bool = False,
        waits_for: Callable[[Delivery], Waiting | None] = lambda delivery: None,
        is_here: Callable[[Delivery], bool] = lambda delivery: True,
    ) -> None:
        self._store = store
        self._topology = topology
        self._now = now
        self._runs = runs
        self._waits_for = waits_for
        self._is_here = is_here
        self._pauses: list[Pause] = []
        self._consumers: Collection[str] = ()

    async def of_instance(self, id: str) -> Facts:
        """The facts of an instance."""
        row, search = await self._store.read_instance(id), await self._store.read_search(id)
        if row is None or search is None:
            raise NotFound(f"there is no process instance {id!r}: sagakit processes list shows them")
        await self._read_common()
        lane = lane_name(row.type, row.id)
        live = row.status not in ENDED
        own = await self._standing(DeliveryQuery(lane=lane, limit=SEEN)) if live else []
        sent = await self._standing(DeliveryQuery(sender=lane, limit=SEEN)) if live else []
        scheduled = DeliveryQuery(state="scheduled", lane=lane, limit=SEEN)
        code, contradiction = await self._code(row) if live else ("", "")
        known = {one.delivery.id for one in (*own, *sent)}
        return Facts(
            now=self._now,
            row=row,
            search=search,
            own=[one for one in own if one.delivery.state != "scheduled"],
            sent=sent,
            story=await self._story(search.correlation_id, known) if live else [],
            scheduled=await self._store.find_deliveries(scheduled) if live else [],
            children=await self._children(row) if live else [],
            handed=await self._handed(row, search) if live and not own and not sent else [],
            last=await self._last(row),
            pause=pause_of(self._pauses, row.type, lane),
            owner=await self._store.read_owner(),
            runs=self._runs,
            code=code,
            contradiction=contradiction,
            steps=self._steps(row),
        )

    async def of_delivery(self, delivery: Delivery) -> Standing:
        """What keeps a delivery."""
        await self._read_common()
        return await self._of(delivery)

    async def _read_common(self) -> None:
        self._pauses = await self._store.read_pauses()
        if self._topology is not None:
            self._consumers = self._topology.consumers.keys()
        else:
            self._consumers = {one.consumer for one in await self._store.read_subscriptions()}

    async def _standing(self, query: DeliveryQuery) -> list[Standing]:
        return [await self._of(one) for one in await self._store.find_deliveries(query)]

    async def _of(self, delivery: Delivery, *, is_head: bool = False) -> Standing:
        head = None
        if delivery.state != "scheduled" and not is_head:
            heads = await self._store.find_deliveries(DeliveryQuery(lane=delivery.lane, limit=SEEN))
            awake = [one for one in heads if one.state != "scheduled"]
            if awake and awake[0].id < delivery.id:
                head = await self._of(awake[0], is_head=True)
        consumer = self._topology.consumers.get(delivery.consumer) if self._topology else None
        limit = self._waits_for(delivery if head is None else head.delivery)
        return Standing(
            delivery,
            head,
            pause_of(self._pauses, delivery.consumer, delivery.lane),
            bool(self._consumers) and delivery.consumer not in self._consumers,
            self._unreadable((delivery.envelope, *delivery.more)),
            (consumer is None or isinstance(consumer, ServiceConsumer)) and not delivery.lane.startswith(BAD_KEY),
            limit,
            "" if limit else self._perhaps(delivery, consumer),
        )

    def _perhaps(self, delivery: Delivery, consumer: object) -> str:
        """That it may wait for a limit, where nobody here can tell: who has it knows, and the store does not."""
        if self._topology is None:
            return f", or waits for a limit, if {delivery.consumer} has one: only the engine that has it knows"
        if not isinstance(consumer, ServiceConsumer) or not consumer.limits or self._is_here(delivery):
            return ""
        limits = " and ".join(one.words for one in consumer.limits)
        return f" at another worker, or waits for its limit ({limits}): only that worker knows"

    def _unreadable(self, envelopes: Iterable[Envelope]) -> str:
        if self._topology is None:
            return ""
        for envelope in envelopes:
            why = unreadable(self._topology.codecs, envelope)
            if why:
                return why
        return ""

    async def _story(self, correlation_id: str, known: Collection[int]) -> list[Standing]:
        parked = await self._store.find_deliveries(DeliveryQuery(state="parked", limit=STORY))
        of_story = [one for one in parked if one.envelope.correlation_id == correlation_id and one.id not in known]
        return [await self._of(one) for one in of_story[:SEEN]]

    async def _children(self, row: Instance) -> list[Child]:
        record = record_of(row)
        sent = record.steps if isinstance(record, SagaRecord) else record.sent
        found: list[Child] = []
        for one in sent:
            child = await self._store.read_instance(one.child.rpartition("/")[2]) if one.child else None
            if child is not None:
                found.append(Child(one.id, child.id, child.status))
        return found

    async def _handed(self, row: Instance, search: Search) -> list[Handed]:
        """Of its commands whose outcome it waits for, those that the log knows to be handed over."""
        commands = [one for one in await self._commands(row, search) if one.undoes != ""]
        found: dict[str, Handed] = {}
        for story in sorted({one.correlation_id for one in commands}):
            own = {one.id: one for one in commands if one.correlation_id == story}
            after = min(one.position for one in own.values())
            while page := await self._store.read_story(story, after=after, limit=HISTORY_PAGE):
                for one in page:
                    command = own.get(one.causation_id or "")
                    if command is not None and one.type == HANDED_OVER:
                        told = msgspec.json.decode(one.payload, type=HandedOver)
                        found[command.id] = Handed(command.id, command.type, told.handler, told.to, one.recorded_at)
                    elif command is not None and one.sender is None and one.type != ACTED:
                        found.pop(command.id, None)
                after = page[-1].position
        return list(found.values())

    async def _commands(self, row: Instance, search: Search) -> list[Envelope]:
        """The commands that it has sent of late; of a saga those alone whose outcome it waits for."""
        after = max(row.version - HISTORY_PAGE, 0)
        history = await self._store.read_history(row.id, after=after, limit=HISTORY_PAGE)
        sent = [one for entry in history for one in entry.outputs if one.kind == "command"]
        record = record_of(row)
        if not isinstance(record, SagaRecord):
            undone = {one.undoes for one in sent}
            return [one for one in sent if one.id not in undone]
        awaited = {one.id if one.state == "sent" else one.undo_id for one in record.steps if one.state in UNDER_WAY}
        found = [one for one in sent if one.id in awaited]
        for batch in (one for one in record.steps if one.batch):
            for item in await self._store.read_items(row.id, batch.ordinal, states=("sent",), limit=SEEN):
                command = await self._store.read_message(search.correlation_id, item.command_id)
                found += [] if command is None else [command]
        return found

    async def _last(self, row: Instance) -> History | None:
        page = await self._store.read_history(row.id, after=max(row.version - 2, 0), limit=2)
        return page[-1] if page else None

    async def _code(self, row: Instance) -> tuple[str, str]:
        """Why there is no code for an instance, and where there is, in what it contradicts the record."""
        if self._topology is None:
            return ("" if row.type in self._consumers or not self._consumers else f"no {row.type} is declared"), ""
        consumer = self._topology.consumers.get(row.type)
        if not isinstance(consumer, ProcessConsumer):
            return f"no process {row.type} is declared", ""
        definition = consumer.definitions.get(row.definition)
        if definition is None:
            return f"version {row.definition} of {row.type} {NOT_DECLARED}", ""
        try:
            live = definition.revive(row, await self._history(row, definition.since(row)) if definition.replays else [])
        except TerminalError as error:
            return "", str(error)
        contradiction = live.contradiction
        live.evict()
        return "", contradiction or ""

    async def _history(self, row: Instance, after: int) -> list[tuple[Input, History]]:
        assert self._topology is not None
        history: list[tuple[Input, History]] = []
        codecs = self._topology.codecs
        while page := await self._store.read_history(row.id, after=after, limit=HISTORY_PAGE):
            for entry in page:
                messages = tuple(codecs.decode(one.type, one.version, one.payload) for one in entry.inputs)
                history.append((Input(entry.inputs, messages), entry))
            after = page[-1].version
        return history

    def _steps(self, row: Instance) -> tuple[str, ...]:
        consumer = self._topology.consumers.get(row.type) if self._topology else None
        if isinstance(consumer, ProcessConsumer) and isinstance(consumer.declared, StepSaga):
            return tuple(step.name for step in consumer.declared.steps)
        return ()


def unreadable(codecs: Codecs, envelope: Envelope) -> str:
    """Why a message cannot be decoded; "" if it can."""
    try:
        codecs.decode(envelope.type, envelope.version, envelope.payload)
    except TerminalError as error:
        return str(error)
    return ""


def pause_of(pauses: Iterable[Pause], consumer: str, lane: str) -> Pause | None:
    """The pause that a lane of a consumer is under, the widest first."""
    known = {(pause.scope, pause.name): pause for pause in pauses}
    modules = (pause for (scope, name), pause in known.items() if scope == "module" and consumer.startswith(f"{name}."))
    whole = known.get(("all", "")) or next(modules, None)
    return whole or known.get(("process", consumer)) or known.get(("instance", lane.rpartition("/")[2]))
