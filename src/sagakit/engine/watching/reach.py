"""What messages may still lead to, by what the parts of an app declare."""

from __future__ import annotations

from collections.abc import Iterable

from sagakit.core.commit import Delivery, Instance
from sagakit.core.display import undos_of
from sagakit.core.lifecycle import TOLD
from sagakit.engine.topology import AggregateConsumer, ProcessConsumer, ServiceConsumer, Topology

NOTHING: frozenset[type] = frozenset()


class Reach:
    """Follows messages to those that take them, and on to what these make of them."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._told = TOLD.intersection(topology.takers)
        """What the engine tells of itself to somebody: any handling may lead to that."""
        self._everything = frozenset(topology.codecs.by_class)
        self._known: dict[tuple[frozenset[type], str], frozenset[type]] = {}
        self._deliveries: dict[tuple[str, str, bool], frozenset[type]] = {}
        self._running: dict[str, frozenset[type]] = {}
        """By process: what an instance that runs may lead to."""
        self._towards: dict[tuple[type, ...], frozenset[str]] = {}

    def of(self, types: Iterable[type], without: str = "") -> frozenset[type]:
        """These messages and all that may come of them. `without`: a process that makes nothing of them any more."""
        start = frozenset(types)
        known = self._known.get((start, without))
        if known is None:
            known = self._known[start, without] = self._follow(start, without)
        return known

    def of_class(self, cls: type | None) -> frozenset[type]:
        """A message and all that may come of it; of a class that is gone, nobody can tell."""
        return self._everything if cls is None else self.of((cls,))

    def of_delivery(self, delivery: Delivery) -> frozenset[type]:
        """What the handling of a delivery may lead to, with what its sender does when it is told."""
        envelope = delivery.envelope
        sender = (envelope.sender or "").rpartition("/")[0] if envelope.kind == "command" else ""
        key = (delivery.consumer, sender, envelope.undoes is not None)
        known = self._deliveries.get(key)
        if known is None:
            known = self._deliveries[key] = self._handling(*key)
        return known

    def _handling(self, consumer_name: str, sender: str, undoes: bool) -> frozenset[type]:
        consumer = self._topology.consumers.get(consumer_name)
        if consumer is None:
            return self._everything
        without = sender if undoes else ""
        made = self._made(consumer)
        if made is None:
            return self._everything
        told = NOTHING
        process = self._topology.consumers.get(sender)
        if not without and isinstance(process, ProcessConsumer):
            told = self.of_process(process)
        return self.of(made, without) | told

    def of_process(self, process: ProcessConsumer) -> frozenset[type]:
        """What an instance may lead to that goes on."""
        return self._everything if process.leads_to is None else self.of(process.leads_to | self._told)

    def of_instance(self, row: Instance) -> frozenset[type]:
        """What an instance may lead to where it stands; nothing where it waits for a person."""
        if row.status == "running":
            known = self._running.get(row.type)
            if known is None:
                process = self._topology.consumers.get(row.type)
                known = self.of_process(process) if isinstance(process, ProcessConsumer) else NOTHING
                self._running[row.type] = known
            return known
        if row.status == "undoing":
            undos = (cls for cls in map(self.class_of, undos_of(row)) if cls is not None)
            return self.of((*undos, *self._told), row.type)
        return NOTHING

    def towards(self, types: tuple[type, ...]) -> frozenset[str]:
        """The processes whose running instances may lead to one of these."""
        known = self._towards.get(types)
        if known is None:
            processes = [one for one in self._topology.consumers.values() if isinstance(one, ProcessConsumer)]
            known = frozenset(one.name for one in processes if not self.of_process(one).isdisjoint(types))
            self._towards[types] = known
        return known

    def class_of(self, name: str) -> type | None:
        """The class of a wire name."""
        codec = self._topology.codecs.by_name.get(name)
        return None if codec is None else codec.cls

    def _follow(self, start: frozenset[type], without: str) -> frozenset[type]:
        found: set[type] = set()
        to_do = list(start)
        while to_do:
            cls = to_do.pop()
            if cls in found:
                continue
            found.add(cls)
            takers = (
                *((self._topology.handlers[cls],) if cls in self._topology.handlers else ()),
                *self._topology.takers.get(cls, ()),
                *self._topology.starters.get(cls, ()),
            )
            for taker in takers:
                if taker.name != without:
                    made = self._made(taker)
                    if made is None:
                        return self._everything
                    to_do.extend(made)
        return frozenset(found)

    def _made(self, consumer: ServiceConsumer | AggregateConsumer | ProcessConsumer) -> frozenset[type] | None:
        """What a consumer may make of a message; None if it does not say."""
        if isinstance(consumer, ProcessConsumer):
            made = consumer.leads_to
        elif isinstance(consumer, ServiceConsumer) and consumer.open:
            made = None
        else:
            made = consumer.outcomes
        return None if made is None else made | self._told
