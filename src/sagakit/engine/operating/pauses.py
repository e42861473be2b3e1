"""What stands still until somebody resumes it: looked at before each delivery and each inline reaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sagakit.core.commit import Pause, PauseScope
from sagakit.engine.lanes.lane import Lane
from sagakit.engine.lanes.lanes import Lanes
from sagakit.engine.topology import ProcessConsumer, Topology
from sagakit.errors import NotFound


class Pauses:
    """The pauses of the store, in memory. While there are none, nobody pays for them."""

    def __init__(self, topology: Topology, lanes: Lanes) -> None:
        self._topology = topology
        self._lanes = lanes
        self.by_place: dict[tuple[PauseScope, str], Pause] = {}
        """By scope and name."""
        self._by_consumer: dict[str, Pause | None] = {}
        self._held: dict[str, Lane] = {}
        self.on_change: Callable[[], None] = lambda: None
        """Called when something begins to stand still or goes on."""

    def __bool__(self) -> bool:
        return bool(self.by_place)

    def all(self) -> list[Pause]:
        """All that stands still, in the order in which it was paused."""
        return list(self.by_place.values())

    def find(self, scope: PauseScope, name: str) -> Pause | None:
        """The pause of this very thing."""
        return self.by_place.get((scope, name))

    def check(self, scope: PauseScope, name: str) -> None:
        """Raise NotFound if the app has no such thing to pause."""
        consumers = self._topology.consumers
        if scope == "module":
            known = {consumer.rpartition(".")[0] for consumer in consumers}
            known |= {name for consumer in consumers if consumer.startswith(f"{name}.")}
        elif scope == "process":
            known = {one.name for one in consumers.values() if isinstance(one, ProcessConsumer)}
        else:
            return
        if name not in known:
            raise NotFound(f"the app has no {scope} {name!r}; it has: {', '.join(sorted(known)) or 'none'}")

    def began(self, pauses: Iterable[Pause]) -> None:
        """These stand still from now on."""
        self.by_place |= {(pause.scope, pause.name): pause for pause in pauses}
        self._by_consumer.clear()
        self.on_change()

    def ended(self, resumed: Iterable[tuple[PauseScope, str]]) -> None:
        """These go on: wake what they have held."""
        for one in resumed:
            self.by_place.pop(one, None)
        self._by_consumer.clear()
        self.on_change()
        for key, lane in list(self._held.items()):
            if not lane.rests:
                del self._held[key]
            elif not lane.queue or self.of(lane.queue[0].consumer, key) is None:
                del self._held[key]
                self._lanes.wake(lane)

    def now(self, pauses: Iterable[Pause]) -> None:
        """These stand still, and these only: others have paused and resumed as well."""
        standing = {(pause.scope, pause.name): pause for pause in pauses}
        over = [one for one in self.by_place if one not in standing]
        if over:
            self.ended(over)
        if standing != self.by_place:
            self.began(standing.values())

    def of(self, consumer: str, lane_key: str) -> Pause | None:
        """The pause that keeps this lane of a consumer from being handled, the widest first."""
        if not self.by_place:
            return None
        if consumer not in self._by_consumer:
            self._by_consumer[consumer] = self._of_consumer(consumer)
        return self._by_consumer[consumer] or self.by_place.get(("instance", lane_key.rpartition("/")[2]))

    def includes(self, consumer: str, lane_key: str) -> bool:
        """Whether this lane of a consumer stands still."""
        return self.of(consumer, lane_key) is not None

    def hold(self, lane: Lane, consumer: str) -> bool:
        """Whether the head of a busy lane has to wait: then the lane rests until it is resumed."""
        if self.of(consumer, lane.key) is None:
            return False
        lane.rests = True
        self._held[lane.key] = lane
        self._lanes.came_to_rest(lane)
        return True

    def _of_consumer(self, consumer: str) -> Pause | None:
        whole = self.by_place.get(("all", ""))
        modules = (
            pause
            for (scope, name), pause in self.by_place.items()
            if scope == "module" and consumer.startswith(f"{name}.")
        )
        return whole or next(modules, None) or self.by_place.get(("process", consumer))
