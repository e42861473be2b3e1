"""In order per lane, whoever's door it was: what is sent after something was acknowledged is handled after it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from sagakit.core.commit import Commit
from sagakit.core.streams import lane_name
from sagakit.stores.memory import MemoryData


@dataclass
class Ordering:
    """What was sent when, and what was handled in which order."""

    sent: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    """Messages of clients: when each was sent first, and when it was acknowledged."""
    _waiting: dict[int, tuple[str, list[str]]] = field(default_factory=dict[int, tuple[str, list[str]]])
    """By delivery: its lane and its messages."""
    _handled: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """By lane: the messages, in the order in which they were settled."""

    def wrote(self, commit: Commit) -> None:
        """A Commit stands."""
        for delivery in commit.deliveries:
            ids = [one.id for one in (delivery.envelope, *delivery.more)]
            self._waiting[delivery.id] = f"{delivery.consumer} {delivery.lane}", ids
        for fence in commit.done:
            lane, ids = self._waiting.pop(fence.delivery)
            self._handled[lane] += ids

    def audit(self, data: MemoryData) -> Iterator[str]:
        """What overtook what in a lane."""
        for lane, ids in self._handled.items():
            yield from self._overtaken(lane, ids)
        for id, row in data.instances.items():
            inputs = [one.id for reaction in data.reactions.get(id, ()) for one in reaction.inputs]
            yield from self._overtaken(lane_name(row.type, row.key), inputs)

    def _overtaken(self, lane: str, ids: Iterable[str]) -> Iterator[str]:
        latest, before = 0, ""
        for id in ids:
            began, acknowledged = self.sent.get(id, (0, 0))
            if id in self.sent and acknowledged < latest:
                yield f"{before} overtook {id} in lane {lane}, which was acknowledged before"
            if began > latest:
                latest, before = began, id
