"""Commits that are drawn at random, and all that a store then holds."""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import strategies as st

from sagakit.core.commit import (
    Checkpoint,
    Commit,
    Delivery,
    DeliveryChange,
    Envelope,
    Fence,
    Inbox,
    Instance,
    InstanceWrite,
    Item,
    Pause,
    Reaction,
    Search,
    Snapshot,
)
from sagakit.core.queries import DeliveryQuery, InstanceQuery
from sagakit.ports import Store
from sagakit.stores.memory import MemoryData

STREAMS = ["order/1", "order/2"]
INSTANCES = ["one", "two"]
STATES = ["ready", "retrying", "scheduled", "parked"]
ITEM_STATES = ["sent", "done", "failed"]
ATTRIBUTES = [b"{}", b'{"city":"Kyoto"}', b'{"city":"Kyoto","guests":2}', b'{"guests":12.50}']
PAUSES = [("all", ""), ("module", "shop"), ("instance", "one")]
OFFSETS = st.sampled_from([0, 0, 0, 0, 0, 0, -1, 1])
"""How far a version is from the right one: mostly not at all."""
WANTED_ATTRIBUTES = [(("city", "Kyoto"),), (("guests", "2"), ("city", "Kyoto")), (("guests", "12.50"),)]
WANTED = st.tuples(st.integers(0, 5), OFFSETS)
"""Which of the outstanding deliveries, at an attempt that is mostly the right one."""


class Wish(NamedTuple):
    """A Commit to be made when it is known what is stored."""

    messages: list[tuple[str | None, int]]
    deliveries: list[tuple[int | None, int, str]]
    done: list[tuple[int, int]]
    changes: list[tuple[int, int, str]]
    withdrawn: list[int]
    forgotten: list[int]
    instances: list[tuple[str, int, bool]]
    search: list[tuple[str, bytes]]
    items: list[tuple[str, int, str]]
    pauses: list[tuple[str, str]]
    resumed: list[tuple[str, str]]
    inbox: list[str]
    snapshots: list[tuple[str, int]]
    checkpoints: list[int]


def few(elements: st.SearchStrategy[Any], most: int = 2) -> st.SearchStrategy[list[Any]]:
    return st.lists(elements, max_size=most)


WISHES = st.builds(
    Wish,
    messages=few(st.tuples(st.sampled_from([None, *STREAMS]), OFFSETS), 4),
    deliveries=few(st.tuples(st.none() | st.integers(0, 3), st.integers(0, 2), st.sampled_from(STATES)), 3),
    done=few(WANTED),
    changes=few(st.tuples(st.integers(0, 5), OFFSETS, st.sampled_from(STATES)), 1),
    withdrawn=few(st.integers(0, 5), 1),
    forgotten=few(st.integers(0, 6)),
    instances=few(st.tuples(st.sampled_from(INSTANCES), OFFSETS, st.booleans())),
    search=few(st.tuples(st.sampled_from(INSTANCES), st.sampled_from(ATTRIBUTES)), 1),
    items=few(st.tuples(st.sampled_from(INSTANCES), st.integers(0, 3), st.sampled_from(ITEM_STATES)), 3),
    pauses=few(st.sampled_from(PAUSES)),
    resumed=few(st.sampled_from(PAUSES), 1),
    inbox=few(st.sampled_from(["k1", "k2", "k3", "k4", "k5"]), 1),
    snapshots=few(st.tuples(st.sampled_from(STREAMS), st.integers(1, 5)), 1),
    checkpoints=few(OFFSETS, 1),
)
GROUPS = st.lists(st.lists(WISHES, min_size=1, max_size=4) | st.none(), min_size=1, max_size=10)
"""Groups of Commits, and None where the owner changes."""


class Maker:
    """Makes the Commits of a wish: called once a store, it gives equal ones."""

    def __init__(self) -> None:
        self.made = 0

    def commit(self, data: MemoryData, wish: Wish) -> Commit:
        messages = self._messages(data, wish)
        rows = [self._row(data, id, offset) for id, offset, _ in wish.instances]
        outstanding = sorted(data.deliveries)
        return Commit(
            messages=messages,
            deliveries=[self._delivery(messages, *each) for each in wish.deliveries],
            done=[_fence(data, outstanding, *each) for each in wish.done],
            changes=[
                self._change(_fence(data, outstanding, index, offset), messages, state)
                for index, offset, state in wish.changes
            ],
            withdrawn=[_outstanding(outstanding, index) for index in wish.withdrawn],
            forgotten=[f"m{self.made - back}" for back in wish.forgotten],
            instances=[InstanceWrite(row, row.version - 1) for row in rows],
            search=[
                Search(id, "shop.fulfil", id, "running", f"story {self.made}", 1, 2, attributes=attributes)
                for id, attributes in wish.search
            ],
            items=[Item(id, index % 2, index, b"%d" % self.made, "c", b"", state) for id, index, state in wish.items],
            pauses=[Pause(scope, name, "ann", "", self.made) for scope, name in wish.pauses],
            resumed=wish.resumed,
            reactions=[
                Reaction(row, row.version, tuple(messages[:1]), tuple(messages[1:]))
                for row, (_, _, reacts) in zip(rows, wish.instances, strict=True)
                if reacts
            ],
            inbox=[Inbox("http", key, f"digest {self.made}", b"answer") for key in wish.inbox],
            snapshots=[Snapshot(stream, version, "code", b"%d" % self.made) for stream, version in wish.snapshots],
            checkpoints=[
                Checkpoint("board", self.made, data.checkpoints.get("board", 0) + offset) for offset in wish.checkpoints
            ],
        )

    def _messages(self, data: MemoryData, wish: Wish) -> list[Envelope]:
        found: list[Envelope] = []
        versions = {stream: len(data.streams.get(stream, ())) for stream in STREAMS}
        for stream, offset in wish.messages:
            self.made += 1
            envelope = Envelope(f"m{self.made}", "event", "shop.Happened", b"{}", f"story {self.made % 2}", self.made)
            if stream is not None:
                versions[stream] += 1
                envelope.stream, envelope.stream_version = stream, versions[stream] + offset
            found.append(envelope)
        return found

    def _delivery(self, messages: list[Envelope], index: int | None, more: int, state: Any) -> Delivery:
        if index is None or index >= len(messages):
            self.made += 1
            timer = Envelope(f"m{self.made}", "command", "shop.Remind", b"{}", "story", self.made)
            return Delivery(timer, "shop.remind", "lane", state="scheduled", due_at=self.made)
        rest = tuple(messages[index + 1 : index + 1 + more])
        return Delivery(messages[index], "shop.place", f"lane {index}", state=state, more=rest)

    def _change(self, fence: Fence, messages: list[Envelope], state: Any) -> DeliveryChange:
        spent = [None, 1, 0][self.made % 3]
        if not messages or self.made % 2:
            return DeliveryChange(fence, state, 2, 5, 1, "error", spent)
        return DeliveryChange(fence, state, 2, 5, 1, "error", spent, messages[0], tuple(messages[1:2]))

    def _row(self, data: MemoryData, id: str, offset: int) -> Instance:
        stored = data.instances.get(id)
        version = (stored.version if stored else 0) + 1 + offset
        return Instance(id, "shop.fulfil", id, 1, max(version, 1), "running", b"%d" % self.made)


UNKNOWN = 10**6
"""From here on no store gives an id: one that the same call gives could be met by chance, in one store only."""


def _outstanding(outstanding: list[int], index: int) -> int:
    return outstanding[index] if index < len(outstanding) else UNKNOWN + index


def _fence(data: MemoryData, outstanding: list[int], index: int, offset: int) -> Fence:
    id = _outstanding(outstanding, index)
    return Fence(id, data.deliveries[id].attempt + offset if id < UNKNOWN else 1)


async def everything(store: Store) -> list[Any]:
    """All that a store holds."""
    return [
        await store.read_messages(),
        await store.last_recorded(),
        await store.read_deliveries(),
        await store.read_scheduled(),
        await store.read_scheduled(after=(5, 3), limit=2),
        await store.read_pauses(),
        await store.read_instances(InstanceQuery()),
        *[await store.find_deliveries(DeliveryQuery(state=state)) for state in [None, *STATES]],
        *[await store.find_deliveries(DeliveryQuery(lane=f"lane {number}")) for number in range(3)],
        *[await store.find_deliveries(DeliveryQuery(type=type)) for type in ("shop.Remind", "shop.Happened")],
        *[await store.read_delivery(id) for id in range(1, 9)],
        *[await store.read_instances(InstanceQuery(attributes=wanted, order="oldest")) for wanted in WANTED_ATTRIBUTES],
        *[await store.count_items(id) for id in INSTANCES],
        *[await store.read_items(id, step, before=3) for id in INSTANCES for step in range(2)],
        *[await store.read_items(id, 1, states=["done", "failed"]) for id in INSTANCES],
        await store.read_checkpoint("board"),
        *[await store.read_stream(stream) for stream in STREAMS],
        *[await store.read_snapshot(stream) for stream in STREAMS],
        *[await store.read_story(f"story {number}", after=2) for number in range(2)],
        *[await store.read_instance(id) for id in INSTANCES],
        *[await store.read_search(id) for id in INSTANCES],
        *[await store.read_history(id) for id in INSTANCES],
        *[await store.read_inbox("http", f"k{number}") for number in range(1, 6)],
    ]
