"""The limits of handlers, which hold for all workers together: who has which part of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sagakit.core.cluster.members import Worker
from sagakit.core.commit import Delivery
from sagakit.core.limiting.pools import Share
from sagakit.core.streams import lane_name, partition
from sagakit.engine.topology import KeyOf, ServiceConsumer, Topology
from sagakit.engine.workers.owning.assignment import limits_of


class LimitSharing:
    """This worker's share, whenever others come and go; and whose the messages are that a limit counts by a value."""

    def __init__(self, topology: Topology) -> None:
        services = [one for one in topology.consumers.values() if isinstance(one, ServiceConsumer)]
        self._limited = [one.name for one in services if one.limits]
        self._homes: dict[str, KeyOf] = {one.name: one.home for one in services if one.home is not None}
        self.on_share: Callable[[Mapping[str, Share]], None] = lambda shares: None
        """Told of the share in the limits of each handler."""

    def saw(self, me: str, members: Sequence[Worker]) -> None:
        """These live. Those who are about to end still run something: they count until they are gone."""
        if self._limited:
            self.on_share(limits_of(me, members, self._limited))

    def home_of(self, delivery: Delivery) -> int | None:
        """The partition of a delivery whose handler counts by a value; None: that does not decide it."""
        home = self._homes.get(delivery.consumer) if self._homes else None
        if home is None:
            return None
        try:
            value = home(delivery.envelope.message)
        except Exception:  # what cannot be read is counted by no value
            return None
        return None if value is None else partition(lane_name(delivery.consumer, value))
