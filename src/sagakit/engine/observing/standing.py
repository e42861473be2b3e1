"""How an engine stands, asked now and then: nothing of it is kept on the way of a message."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sagakit.core.commit import Delivery, DeliveryState, Status
from sagakit.core.queries import InstanceQuery, Waiting
from sagakit.engine.topology import AggregateConsumer, ServiceConsumer, Topology
from sagakit.ports import Store

if TYPE_CHECKING:
    from sagakit.core.process import Definition

MOST_STUCK = 1_000
STUCK: tuple[Status, ...] = ("parked", "compensation_failed")
SYSTEMS = {"MemoryStore": "memory", "PostgresStore": "postgresql", "SqliteStore": "sqlite"}
"""Their databases, by the names of their classes: adapters are loaded only where they are used."""


def waiting(deliveries: Iterable[Delivery]) -> list[Waiting]:
    """These deliveries by consumer and state."""
    counts: dict[tuple[str, DeliveryState], int] = {}
    oldest: dict[tuple[str, DeliveryState], int] = {}
    for delivery in deliveries:
        kind = (delivery.consumer, delivery.state)
        since = delivery.due_at if delivery.state == "scheduled" else delivery.envelope.recorded_at
        counts[kind] = counts.get(kind, 0) + 1
        oldest[kind] = min(oldest.get(kind, since), since)
    return [Waiting(*kind, count, oldest[kind]) for kind, count in counts.items()]


async def stuck(store: Store) -> dict[str, int]:
    """Instances that wait for a person, by status."""
    return {status: len(await store.read_instances(InstanceQuery(status=status, limit=MOST_STUCK))) for status in STUCK}


def system(store: Store) -> str:
    """The name of a store's database, as OpenTelemetry's conventions have it."""
    for cls in type(store).__mro__:  # a user may have derived one from ours
        if cls.__name__ in SYSTEMS:
            return SYSTEMS[cls.__name__]
    return type(store).__name__.removesuffix("Store").lower()


def roles(topology: Topology) -> dict[str, str]:
    """What each consumer is, in a word."""
    found: dict[str, str] = {}
    for name, consumer in topology.consumers.items():
        if isinstance(consumer, ServiceConsumer):
            found[name] = consumer.role
        elif isinstance(consumer, AggregateConsumer):
            found[name] = "aggregate"
        else:
            found[name] = _kind(consumer.current)
    return found


def _kind(definition: Definition) -> str:
    return "saga" if definition.replays else "process_manager"
