"""The metrics as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from sagakit.core.queries import Standing
from sagakit.observer import Copies
from sagakit.telemetry.metrics import catalogue
from sagakit.telemetry.metrics.metrics import MICROSECONDS, Metrics
from sagakit.telemetry.metrics.tallies import Histogram, Labels

OUTGOING = frozenset({"forwarder", "replier"})
"""What consumers are whose deliveries are to leave."""


class Exposition(Collector):
    """Reads the metrics of one engine, in a registry of its own: two engines in one process do not mix."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.standing: Standing | None = None
        """How the engine stands, as read just before."""
        self.copies: Copies | None = None
        """What the fast path of the door has done that is asked."""
        self.roles: Mapping[str, str] = {}
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(self)
        for own in (ProcessCollector, PlatformCollector, GCCollector):
            own(registry=self.registry)

    def text(self, accept: str) -> tuple[bytes, str]:
        """Everything, in the text format that a reader wants, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def collect(self) -> Iterator[Metric]:
        """Called by the registry."""
        yield from self._counted()
        yield from self._measured()
        if self.standing is not None:
            yield from _gauges(self.standing, self.roles)
        if self.copies is not None:
            yield from _fast_path(self.copies)

    def describe(self) -> Iterable[Metric]:
        """Nothing is collected at registration."""
        return ()

    def _counted(self) -> Iterator[Metric]:
        own = self._metrics
        counters: Mapping[catalogue.Metric, Mapping[Labels, int]] = {
            catalogue.STARTED: own.started,
            catalogue.SETTLED: own.settled,
            catalogue.PARKED: own.parked,
            catalogue.UNDO_STUCK: own.undo_stuck,
            catalogue.STEPS: own.steps,
            catalogue.UNDOS: own.undos,
            catalogue.RETRIED: own.retried,
            catalogue.GIVEN_UP: own.given_up,
            catalogue.MESSAGES: {(): own.messages},
            catalogue.REJECTED: own.rejected,
            catalogue.ACCEPTED: own.accepted,
            catalogue.REPEATED: own.repeated,
            catalogue.REFUSED: own.refused,
        }
        for metric, counts in counters.items():
            yield _counter(metric, counts)

    def _measured(self) -> Iterator[Metric]:
        own = self._metrics
        for metric, histogram in {
            catalogue.DURATION: own.duration,
            catalogue.STEP: own.step,
            catalogue.LATENESS: own.lateness,
            catalogue.COMMIT: own.commit,
            catalogue.COMMIT_SIZE: own.commit_size,
            catalogue.HANDLER: own.handler,
        }.items():
            yield _family(metric, histogram)


def _counter(metric: catalogue.Metric, counts: Mapping[Labels, int]) -> Metric:
    family = CounterMetricFamily(metric.name.removesuffix("_total"), metric.help, labels=metric.labels)
    for labels, count in counts.items():
        family.add_metric(labels, count)
    return family


def _family(metric: catalogue.Metric, histogram: Histogram) -> Metric:
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    bounds = [*(str(bound) for bound in histogram.bounds), "+Inf"]
    for labels, counts, total in histogram.cells():
        below, buckets = 0.0, list[tuple[str, float]]()
        for bound, count in zip(bounds, counts, strict=True):
            below += count
            buckets.append((bound, below))
        family.add_metric(labels, buckets, total)
    return family


def _gauges(standing: Standing, roles: Mapping[str, str]) -> Iterator[Metric]:
    yield _gauge(catalogue.DELIVERIES, {(one.consumer, one.state): one.count for one in standing.waiting})
    ages = {(one.consumer, one.state): _age(standing, one.oldest) for one in standing.waiting}
    yield _gauge(catalogue.OLDEST, ages)
    # a name with a space is none of the user's: a transport has made that consumer, to take messages out
    leaving = {name: 0.0 for name, role in roles.items() if role in OUTGOING or " " in name}
    for (consumer, state), age in ages.items():
        if consumer in leaving and state != "scheduled":
            leaving[consumer] = max(leaving[consumer], age)
    yield _gauge(catalogue.OUTBOX, {(consumer,): age for consumer, age in leaving.items()})
    yield _gauge(catalogue.STUCK, {(status,): count for status, count in standing.stuck.items()})
    yield _gauge(catalogue.LIMITED, {(consumer,): count for consumer, count in standing.limited.items()})
    yield _gauge(catalogue.PARTITIONS, {(worker,): count for worker, count in standing.partitions.items()})
    yield _gauge(catalogue.KAFKA_LAG, standing.behind)
    plain: Mapping[catalogue.Metric, Callable[[Standing], float]] = {
        catalogue.UNREAD: lambda one: one.unread,
        catalogue.UNFINISHED: lambda one: one.unfinished,
        catalogue.BOUND: lambda one: one.bound,
        catalogue.RUNNING: lambda one: one.running,
        catalogue.WAITERS: lambda one: one.waiters,
        catalogue.READY: lambda one: one.ready,
    }
    for metric, read in plain.items():
        yield _gauge(metric, {(): read(standing)})


def _fast_path(copies: Copies) -> Iterator[Metric]:
    answered = {
        ("memory",): copies.near,
        ("server",): copies.shared,
        ("store",): copies.store,
        ("in_flight",): copies.in_flight,
    }
    yield _counter(catalogue.KEYS, answered)
    without = {("failed",): copies.failed, ("skipped",): copies.skipped, ("distrusted",): copies.distrusted}
    yield _counter(catalogue.FAST_PATH_ERRORS, without)
    yield _counter(catalogue.BREAKER_OPENED, {(): copies.opened})
    yield _gauge(catalogue.BREAKER_OPEN, {(): copies.left_alone})


def _gauge(metric: catalogue.Metric, values: Mapping[Labels, float]) -> Metric:
    family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def _age(standing: Standing, since: int) -> float:
    """Seconds; 0 for what is to come."""
    return max(standing.now - since, 0) / MICROSECONDS
