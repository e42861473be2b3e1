"""Holds the lanes whose handlers have limits until these let them through: nobody looks again and again meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

from sagakit.core.commit import Delivery
from sagakit.core.limiting.admission import Admission, Gate, Ticket
from sagakit.core.limiting.pools import Share
from sagakit.core.limiting.turns import Group, group_of
from sagakit.engine.handlers.runs import Run
from sagakit.engine.lanes.lane import Lane
from sagakit.engine.lanes.lanes import Lanes
from sagakit.engine.routing import BAD_KEY
from sagakit.engine.time.timers import Timers
from sagakit.engine.topology import KeyOf, ServiceConsumer, Topology


class Waiting(NamedTuple):
    """What a delivery waits for."""

    words: str
    since: int
    due_at: int | None
    """When it may begin at the earliest, where time alone brings that about."""


class Throttle:
    """Lets heads of lanes through to their handlers, within the limits of these.

    A lane that waits rests, as one that is paused does, with a ticket that holds nothing. One that is let through
    holds its slots until its handler has ended, which may be after the lane was left (a thread past its timeout).
    """

    def __init__(self, topology: Topology, lanes: Lanes, timers: Timers) -> None:
        self.limited: dict[str, ServiceConsumer] = {
            name: one for name, one in topology.consumers.items() if isinstance(one, ServiceConsumer) and one.limits
        }
        """The handlers that have limits. While there are none, nobody pays for them."""
        self._codecs = topology.codecs
        self._lanes = lanes
        self._timers = timers
        self._clock = timers.clock
        self._admission = Admission(self._wake_at)
        lanes.let_go = self.let_go

    def admits(self, lane: Lane, delivery: Delivery) -> bool:
        """Whether the head of a busy lane may begin now. If not, the lane rests until it may."""
        ticket: Ticket | None = lane.ticket
        if ticket is not None and ticket.subject[1] is not delivery:  # what it was for is gone
            self.let_go(lane)
            ticket = None
        if ticket is not None and ticket.held:
            return True
        if ticket is None:
            consumer = self.limited.get(delivery.consumer)
            if consumer is None or lane.key.startswith(BAD_KEY):
                return True
            now = self._clock.now()
            ticket = lane.ticket = self._ticket(lane, consumer, delivery, now)
            if self._admission.ask(ticket, now):
                return True
        lane.rests = True
        self._lanes.came_to_rest(lane)
        return False

    def let_go(self, lane: Lane) -> None:
        """The head of a lane does not begin, or waits no more: what it has is for the next one."""
        ticket, lane.ticket = lane.ticket, None
        if ticket is not None:
            self._leave(ticket)

    def ended(self, lane: Lane, run: Run) -> None:
        """A handler's answer is here; or nobody waits for it any more, and it holds what it has until it ends."""
        if run.left_behind:
            ticket, lane.ticket = lane.ticket, None
            run.held.append(partial(self._leave, ticket))
        else:
            self.let_go(lane)

    def share(self, shares: Mapping[str, Share]) -> None:
        """This worker's share in the limits of each handler."""
        self._call(self._admission.share(dict(shares), self._clock.now()))

    @property
    def waiting(self) -> Mapping[str, int]:
        """How many deliveries wait for a limit, by consumer."""
        return self._admission.waiting

    def waits_for(self, delivery: Delivery) -> Waiting | None:
        """The limit that keeps a delivery from beginning; None if none does."""
        lane = self._lanes.find(delivery.lane)
        ticket: Ticket | None = None if lane is None else lane.ticket
        if ticket is None or ticket.at is None or ticket.subject[1].id != delivery.id:
            return None
        gate = ticket.at
        value = "" if gate.value is None else f" (here {gate.value!r})"
        return Waiting(f"{gate.limiting.words}{value}", ticket.since, gate.pool.opens_at())

    def beside(self, unfinished: int, bound: int) -> int:
        """What counts of so many unfinished deliveries at the doors: up to the bound those do not that wait here."""
        return unfinished - min(self._admission.waiting_in_all, bound)

    # ------------------------------------------------------------------ tickets

    def _ticket(self, lane: Lane, consumer: ServiceConsumer, delivery: Delivery, now: int) -> Ticket:
        values = [self._value(delivery, limiting.key) for limiting in consumer.limits]
        gates = self._admission.gates(consumer.name, consumer.limits, values, now)
        owner = group_of(consumer.name, delivery.envelope.sender).owner
        group = Group(owner, "\n".join(one for one in values if one is not None))
        return Ticket(gates, group, (lane, delivery), now)

    def _value(self, delivery: Delivery, key: KeyOf | None) -> str | None:
        if key is None:
            return None
        envelope = delivery.envelope
        try:
            if envelope.message is None:
                envelope.message = self._codecs.decode(envelope.type, envelope.version, envelope.payload)
            return key(envelope.message)
        except Exception:  # what cannot be read is counted by no value: its handling says what is wrong with it
            return None

    def _leave(self, ticket: Ticket) -> None:
        self._call(self._admission.leave(ticket, self._clock.now()))

    def _wake_at(self, gate: Gate, at: int) -> None:
        self._timers.at(at, partial(self._open, gate))

    def _open(self, gate: Gate) -> None:
        self._call(self._admission.open(gate, self._clock.now()))

    def _call(self, called: list[Ticket]) -> None:
        for ticket in called:
            lane: Lane = ticket.subject[0]
            self._lanes.wake(lane)
