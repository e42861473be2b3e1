"""Consumers that other workers' code has and this one's has not: they are given their events all the same.

By what their subscriptions say of them (a kind, and the path of the key), an event is put into the very lane that their
own code would put it into.
"""

from __future__ import annotations

from collections.abc import Collection
from operator import attrgetter
from typing import Any

import structlog

from sagakit.core.cluster.members import Routes
from sagakit.core.commit import Envelope, Subscription
from sagakit.core.limiting.limits import AtOnce
from sagakit.core.streams import instance_id, lane_name, partition
from sagakit.engine.draft import Draft
from sagakit.engine.routing import BAD_KEY
from sagakit.engine.topology import (
    ONE_KEY,
    AggregateConsumer,
    Consumer,
    ProcessConsumer,
    ServiceConsumer,
    Topology,
)

PROCESS = "process"

_log = structlog.get_logger("sagakit.workers")


class Foreign:
    """What subscriptions of others add to Commits."""

    def __init__(self, topology: Topology) -> None:
        self._own = {(one.consumer, one.type) for one in subscriptions(topology)}
        self._taking: dict[str, list[Subscription]] = {}
        self.version = 0

    def learn(self, routes: Routes) -> None:
        """The subscriptions as they are now."""
        self.version = routes.version
        self._taking = {}
        for one in routes.subscriptions:
            if (one.consumer, one.type) not in self._own and one.kind in (PROCESS, "listener", "forwarder"):
                self._taking.setdefault(one.type, []).append(one)

    def complete(self, draft: Draft) -> None:
        """Add to a draft what its events lead to elsewhere."""
        draft.commit.routing = self.version
        if not self._taking:
            return
        for event in draft.commit.messages:
            if event.kind == "event":
                for taker in self._taking.get(event.type, ()):
                    self._give(draft, event, taker)

    def _give(self, draft: Draft, event: Envelope, taker: Subscription) -> None:
        lane = _lane(taker, event)
        if lane is None:
            return
        told = (one for one in draft.commit.deliveries if one.consumer == taker.consumer and one.lane == lane)
        if not any(event is one.envelope or event in one.more for one in told):
            # its home is said here: who else is told of it hangs on that
            draft.deliver(event, taker.consumer, lane).partition = partition(lane)


def _lane(taker: Subscription, event: Envelope) -> str | None:
    if not taker.key and taker.kind != PROCESS:
        return f"{taker.consumer}/{event.id}"
    try:
        key = _key(taker.key, event.message)
    except AttributeError as error:  # this code's class of the event lacks the field
        _log.warning("no key", consumer=taker.consumer, message=event.type, error=str(error))
        return f"{BAD_KEY}{taker.consumer}/{event.id}"
    if taker.kind == PROCESS:
        return None if key is None else lane_name(taker.consumer, instance_id(taker.consumer, key))
    return f"{taker.consumer}/{event.id}" if key is None else lane_name(taker.consumer, key)


def _key(path: str, message: Any) -> str | None:
    if path == ONE_KEY:
        return ""
    value = attrgetter(path)(message)
    return None if value is None else str(value)


def subscriptions(topology: Topology) -> list[Subscription]:
    """Which consumer of an app takes which message type, and how others find the lane."""
    names = topology.codecs.by_class
    taken: dict[tuple[str, str], Subscription] = {}
    for taking in (topology.takers, topology.starters):
        for cls, consumers in taking.items():
            for consumer in consumers:
                name = names[cls].name
                taken[consumer.name, name] = Subscription(
                    consumer.name, name, kind=kind_of(consumer), key=consumer.key_path
                )
    for cls, consumer in topology.handlers.items():
        name = names[cls].name
        taken[consumer.name, name] = Subscription(consumer.name, name, kind=kind_of(consumer), key=consumer.key_path)
    return [taken[one] for one in sorted(taken)]


def kind_of(consumer: Consumer) -> str:
    """What kind of consumer it is, in one word."""
    if isinstance(consumer, ProcessConsumer):
        return PROCESS
    return "aggregate" if isinstance(consumer, AggregateConsumer) else consumer.role


def levels(topology: Topology, beside: Collection[str]) -> dict[str, int]:
    """How much the code of each consumer knows: of several versions of it, the one that knows most owns it.

    Counted are the message types that it takes, their versions, and the versions of its definition.
    """
    names = topology.codecs.by_class
    known = dict.fromkeys((*topology.consumers, *beside), 0)
    for one in subscriptions(topology):
        known[one.consumer] += 1 + topology.codecs.by_name[one.type].version
    for consumer in topology.consumers.values():
        if isinstance(consumer, ProcessConsumer):
            known[consumer.name] += sum(consumer.definitions)
    for consumer in beside:
        known[consumer] = sum(names[cls].version for cls in topology.commands)
    return known


def most_at_once(topology: Topology, consumer: str) -> int | None:
    """How many handlings of a consumer run at once, at most, among those that workers share; None: no such limit."""
    found = topology.consumers.get(consumer)
    limits = found.limits if isinstance(found, ServiceConsumer) else ()
    return min((one.limit.most for one in limits if isinstance(one.limit, AtOnce) and not one.home), default=None)
