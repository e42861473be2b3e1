"""The scheduled deliveries that are due next, in memory; what lies beyond stays in the store."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence

from sagakit.core.commit import Delivery

SIZE = 1_000
"""Deliveries of one page; twice as many are the most that is in memory."""


class Window:
    """All scheduled deliveries up to a horizon, in the order in which they are due.

    A page is read while others go on writing. So what was written or forgotten meanwhile is kept until it is here.
    """

    def __init__(self, claims: Callable[[Delivery], bool], size: int = SIZE) -> None:
        self._claims = claims
        self._size = size
        self._heap: list[tuple[int, int, Delivery]] = []
        self._known: dict[str, Delivery] = {}
        """Those in the heap that are still wanted, by message id."""
        self.horizon: tuple[int, int] = (0, 0)
        """(due at, id): all that the store holds up to here is in memory."""
        self.complete = False
        """Whether nothing lies beyond the horizon."""
        self._reading: tuple[int, int] | None = None
        self._written: list[Delivery] = []
        self._forgotten: set[str] = set()

    def __len__(self) -> int:
        return len(self._known)

    def deliveries(self) -> Iterator[Delivery]:
        """All that are wanted, in no order."""
        return iter(self._known.values())

    @property
    def wants_more(self) -> bool:
        """Whether the next page should be read."""
        return not self.complete and self._reading is None and len(self._known) < self._size // 4

    def first(self) -> Delivery | None:
        """The one that is due next."""
        while self._heap:
            delivery = self._heap[0][2]
            if self._known.get(delivery.envelope.id) is delivery:
                return delivery
            heapq.heappop(self._heap)
        return None

    def take(self) -> Delivery:
        """Take out the one that is due next."""
        _, _, delivery = heapq.heappop(self._heap)
        del self._known[delivery.envelope.id]
        return delivery

    def put(self, delivery: Delivery) -> None:
        """A new one: kept if it lies within the horizon."""
        if self.complete or (delivery.due_at, delivery.id) <= self.horizon:
            self._keep(delivery)
            if len(self._known) > 2 * self._size:
                self._shrink()
        elif self._reading is not None:
            self._written.append(delivery)

    def forget(self, message_id: str) -> None:
        """One is not wanted any more."""
        if self._known.pop(message_id, None) is not None:
            if len(self._heap) > 2 * len(self._known) + self._size:
                self._sweep()
        elif self._reading is not None:
            self._forgotten.add(message_id)

    def sift(self) -> None:
        """Let go of what is not claimed any more."""
        self._known = {id: delivery for id, delivery in self._known.items() if self._claims(delivery)}
        self._sweep()

    def begin_anew(self) -> None:
        """More is claimed than before: read all from the beginning."""
        self._known.clear()
        self._heap.clear()
        self.horizon, self.complete = (0, 0), False
        if self._reading is not None:  # that page does not count any more
            self._reading = (-1, -1)

    # ------------------------------------------------------------------ pages

    def begin(self) -> tuple[int, int]:
        """A page is being read: what comes after this."""
        self._reading = self.horizon
        return self.horizon

    def end(self, page: Sequence[Delivery] | None, limit: int) -> None:
        """The page is here; None: it could not be read."""
        written, self._written = self._written, []
        forgotten, self._forgotten = self._forgotten, set()
        began, self._reading = self._reading, None
        if page is None or began != self.horizon:  # it does not follow what is here: so much has been put meanwhile
            return
        self.complete = len(page) < limit
        if page:
            self.horizon = (page[-1].due_at, page[-1].id)
        for delivery in page:
            if delivery.envelope.id not in forgotten:
                self._keep(delivery)
        for delivery in written:
            if delivery.envelope.id not in forgotten:
                self.put(delivery)

    def _keep(self, delivery: Delivery) -> None:
        if delivery.envelope.id not in self._known and self._claims(delivery):
            self._known[delivery.envelope.id] = delivery
            heapq.heappush(self._heap, (delivery.due_at, delivery.id, delivery))

    def _sweep(self) -> None:
        self._heap = [entry for entry in self._heap if self._known.get(entry[2].envelope.id) is entry[2]]
        heapq.heapify(self._heap)

    def _shrink(self) -> None:
        """Leave the latest ones to the store."""
        self._sweep()
        self._heap.sort()  # a sorted list is a heap
        for _, _, delivery in self._heap[self._size :]:
            del self._known[delivery.envelope.id]
        del self._heap[self._size :]
        self.horizon, self.complete = self._heap[-1][:2], False
