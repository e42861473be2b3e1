"""Who may begin now and who waits: the limits of an engine's handlers, as they stand.

A handling takes a slot or a token of each limit that is on it, all of them when it begins or none: whoever waits holds
nothing. It waits at one limit, the first that has nothing to give. When that has, the next in turn is asked again, and
begins or waits at another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sagakit.core.limiting.limits import AtOnce, Limiting
from sagakit.core.limiting.pools import WHOLE, Share, Slots, Tokens
from sagakit.core.limiting.turns import Group, Turns
from sagakit.core.messages import microseconds
from sagakit.core.streams import partition

SWEEP = 1_000
"""Limits of one value each that are kept, whether used or not, before those at rest are looked for."""


class Gate:
    """One limit, or one of its values where it counts by a key."""

    __slots__ = ("armed", "consumer", "limiting", "pool", "value", "waiting")

    def __init__(self, consumer: str, limiting: Limiting, value: str | None, pool: Slots | Tokens) -> None:
        self.consumer = consumer
        self.limiting = limiting
        self.value = value
        self.pool = pool
        self.waiting: Turns[Ticket] = Turns()
        self.armed: int | None = None
        """When it was asked to be looked at again."""


class Ticket:
    """A handling that runs or waits."""

    __slots__ = ("at", "gates", "group", "held", "since", "subject")

    def __init__(self, gates: Sequence[Gate], group: Group, subject: Any, since: int) -> None:
        self.gates = gates
        self.group = group
        self.subject = subject
        self.since = since
        self.at: Gate | None = None
        """Where it waits."""
        self.held = False
        """It may begin: it has taken of each limit."""


class Admission:
    """All limits of an engine."""

    def __init__(self, wake_at: Callable[[Gate, int], None]) -> None:
        self._wake_at = wake_at
        """Have `open` called with a gate at a time."""
        self._gates: dict[tuple[str, int, str | None], Gate] = {}
        self._shares: dict[str, Share] = {}
        self._sweep_at = SWEEP
        self.waiting: dict[str, int] = {}
        """How many wait, by consumer."""
        self.waiting_in_all = 0

    def gates(self, consumer: str, limits: Sequence[Limiting], values: Sequence[str | None], now: int) -> list[Gate]:
        """The gates of a message whose values for these limits are known; those of one value first."""
        found: list[Gate] = []
        for number, (limiting, value) in enumerate(zip(limits, values, strict=True)):
            if limiting.key is None or value is not None:
                found.append(self._gate(consumer, number, limiting, value, now))
        found.sort(key=_width)
        return found

    def ask(self, ticket: Ticket, now: int) -> bool:
        """Whether it may begin at once; else it waits."""
        for gate in ticket.gates:
            if gate.waiting or gate.pool.free(now) <= 0:
                self._count(gate.consumer, 1)
                self._wait(ticket, gate)
                return False
        self._take(ticket, now)
        return True

    def leave(self, ticket: Ticket, now: int) -> list[Ticket]:
        """It has ended, or does not want to begin any more. Those that may begin now."""
        if ticket.at is not None:
            ticket.at.waiting.discard(ticket.group, ticket)
            ticket.at = None
            self._count(ticket.gates[0].consumer, -1)
        elif ticket.held:
            ticket.held = False
            for gate in ticket.gates:
                gate.pool.give_back()
        called: list[Ticket] = []
        for gate in ticket.gates:
            self._serve(gate, now, called)
        return called

    def open(self, gate: Gate, now: int) -> list[Ticket]:
        """Time has come to a gate. Those that may begin now."""
        gate.armed = None
        called: list[Ticket] = []
        self._serve(gate, now, called)
        return called

    def share(self, shares: dict[str, Share], now: int) -> list[Ticket]:
        """This worker's share in the limits of each consumer from now on. Those that may begin now."""
        called: list[Ticket] = []
        if shares != self._shares:
            self._shares = shares
            for gate in list(self._gates.values()):
                gate.pool.shared(self._share_of(gate.consumer, gate.limiting), now)
                gate.armed = None
            for gate in list(self._gates.values()):
                self._serve(gate, now, called)
        return called

    def tickets(self) -> Iterator[Ticket]:
        """All that wait."""
        for gate in self._gates.values():
            yield from gate.waiting

    # ------------------------------------------------------------------ one gate

    def _gate(self, consumer: str, number: int, limiting: Limiting, value: str | None, now: int) -> Gate:
        place = (consumer, number, value)
        gate = self._gates.get(place)
        if gate is None:
            if len(self._gates) >= self._sweep_at:
                self._sweep(now)
            share = self._share_of(consumer, limiting)
            # what cannot be shared out evenly is with another worker for each value
            turn = 0 if value is None else partition(value)
            limit = limiting.limit
            if isinstance(limit, AtOnce):
                pool = Slots(limit.most, share, turn)
            else:
                pool = Tokens(limit.most, microseconds(limit.per, "per="), limit.burst, share, turn)
            gate = self._gates[place] = Gate(consumer, limiting, value, pool)
        return gate

    def _share_of(self, consumer: str, limiting: Limiting) -> Share:
        share = self._shares.get(consumer, WHOLE)
        return WHOLE if limiting.home and share.of else share

    def _sweep(self, now: int) -> None:
        self._gates = {place: gate for place, gate in self._gates.items() if gate.waiting or not gate.pool.at_rest(now)}
        self._sweep_at = max(SWEEP, 2 * len(self._gates))

    def _serve(self, gate: Gate, now: int, called: list[Ticket]) -> None:
        """Ask as many of those that wait as it has something for: each begins, or waits at another gate."""
        for _ in range(min(gate.pool.free(now), len(gate.waiting))):
            ticket = gate.waiting.pop()
            closed = next((one for one in ticket.gates if one.pool.free(now) <= 0), None)
            if closed is not None:
                self._wait(ticket, closed)
                continue
            ticket.at = None
            self._count(gate.consumer, -1)
            self._take(ticket, now)
            called.append(ticket)
        if gate.waiting and gate.pool.free(now) <= 0:  # else those that wait elsewhere take what is free
            self._arm(gate)

    def _take(self, ticket: Ticket, now: int) -> None:
        ticket.held = True
        for gate in ticket.gates:
            gate.pool.take(now)
            if gate.waiting:  # time may have brought more than this one takes: then it opens at once
                self._arm(gate)

    def _wait(self, ticket: Ticket, gate: Gate) -> None:
        ticket.at = gate
        gate.waiting.push(ticket.group, ticket)
        self._arm(gate)

    def _arm(self, gate: Gate) -> None:
        at = gate.pool.opens_at()
        if at is not None and (gate.armed is None or at < gate.armed):
            gate.armed = at
            self._wake_at(gate, at)

    def _count(self, consumer: str, by: int) -> None:
        self.waiting_in_all += by
        left = self.waiting.get(consumer, 0) + by
        if left:
            self.waiting[consumer] = left
        else:
            del self.waiting[consumer]


def _width(gate: Gate) -> tuple[bool, bool]:
    """What has a value first, of those what is given back first: whoever waits keeps as few others as can be."""
    return gate.value is None, isinstance(gate.pool, Tokens)
