"""Order through the doors of several workers: who takes a message first looks what others have taken before it.

A client may send one message at one worker's door and the next one at another's. The second one begins after the first
was acknowledged, so a look into the store that begins after that finds the first. It comes into its lane then, before
anything is made of the second. Where nobody else lives there is nothing to look for: who joins changes the version that
Commits are routed by, so a worker learns of it at the latest when its next Commit is dropped, and makes that anew.
"""

from __future__ import annotations

from collections.abc import Iterator

from sagakit.core.commit import Envelope
from sagakit.core.lifecycle import CancelChild
from sagakit.core.streams import instance_id, lane_name, partition
from sagakit.engine.handlers.reading import Reader
from sagakit.engine.topology import ProcessConsumer, Topology
from sagakit.engine.workers.across.arrivals import Arrivals
from sagakit.engine.workers.owning.membership import Membership
from sagakit.engine.workers.owning.ownership import Ownership
from sagakit.ports import Cluster


class CatchingUp:
    """Asked by the doors before they make anything of a message."""

    def __init__(
        self,
        topology: Topology,
        cluster: Cluster,
        read: Reader,
        ownership: Ownership,
        membership: Membership,
        arrivals: Arrivals,
    ) -> None:
        self._topology = topology
        self._cluster = cluster
        self._read = read
        self._ownership = ownership
        self._membership = membership
        self._arrivals = arrivals
        self._alone = False
        """Nobody else has written anything that was not read here."""
        self._changes = 0

    def others(self) -> None:
        """Others live, or have lived since they were counted."""
        self._alone = False
        self._changes += 1

    async def catch_up(self, *coming: Envelope) -> None:
        """Return once all is in its lane that others had written there before. `coming`: what is taken; none: any."""
        if self._alone or (coming and not any(map(self._concerns, coming))):
            return
        changes = self._changes
        alone = self._membership.alone and len(await self._read(self._cluster.workers)) < 2
        await self._arrivals.through()
        if alone and changes == self._changes:
            self._alone = True

    def _concerns(self, envelope: Envelope) -> bool:
        """Whether a message is for a lane with a key that is this worker's, or is just becoming its own."""
        return any(self._ownership.is_held(consumer, partition(lane)) for consumer, lane in self._lanes(envelope))

    def _lanes(self, envelope: Envelope) -> Iterator[tuple[str, str]]:
        topology, message = self._topology, envelope.message
        if isinstance(message, CancelChild):
            yield message.child.rpartition("/")[0], message.child
            return
        handler = topology.handlers.get(message.__class__) if envelope.kind == "command" else None
        takers = topology.starters if envelope.kind == "command" else topology.takers
        for consumer in takers.get(message.__class__, ()) if handler is None else (handler,):
            try:
                key = None if consumer.key is None else consumer.key(message)
            except Exception:  # noqa: S112  (the user's key: what has none has a lane of its own)
                continue
            if key is not None:
                at = instance_id(consumer.name, key) if isinstance(consumer, ProcessConsumer) else key
                yield consumer.name, lane_name(consumer.name, at)
