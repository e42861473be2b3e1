"""Every metric: its name, what it says, and its labels. A label's values are names in the code, never ids or keys."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]

SHORT = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Seconds of what a machine does."""
LONG = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 86_400.0, 604_800.0)
"""Seconds of what a business does."""
SIZES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)


class Metric(NamedTuple):
    """One metric, as it is exposed."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


ALL: list[Metric] = []


def _metric(name: str, kind: Kind, help: str, *labels: str, buckets: tuple[float, ...] = ()) -> Metric:
    metric = Metric(f"sagakit_{name}", kind, help, labels, buckets)
    ALL.append(metric)
    return metric


STARTED = _metric("processes_started_total", "counter", "Process instances that began.", "process")
SETTLED = _metric(
    "processes_settled_total",
    "counter",
    "Process instances that ended, by their end (completed, compensated, abandoned) and its cause.",
    "process",
    "end",
    "cause",
)
PARKED = _metric("processes_parked_total", "counter", "Process instances that began to wait for a person.", "process")
UNDO_STUCK = _metric(
    "processes_compensation_failed_total", "counter", "Process instances one of whose undos was given up.", "process"
)
DURATION = _metric(
    "process_duration_seconds", "histogram", "From the start of an instance to its end.", "process", "end", buckets=LONG
)
STEP = _metric(
    "step_duration_seconds",
    "histogram",
    "From the sending of a command by a process to its outcome: succeeded, refused, unknown, or answered where a "
    "process manager judges it.",
    "process",
    "command",
    "outcome",
    buckets=LONG,
)
STEPS = _metric("steps_total", "counter", "Steps of processes, by how they came out.", "process", "command", "outcome")
UNDOS = _metric(
    "undos_total", "counter", "Undos, by how they came out: undone, undo_failed.", "process", "command", "outcome"
)
RETRIED = _metric("deliveries_retried_total", "counter", "Attempts that failed and are made again.", "consumer")
GIVEN_UP = _metric("deliveries_parked_total", "counter", "Deliveries that began to wait for a person.", "consumer")
LATENESS = _metric(
    "timer_lateness_seconds",
    "histogram",
    "From when something scheduled was due to when its message was durable.",
    buckets=SHORT,
)
DELIVERIES = _metric(
    "deliveries",
    "gauge",
    "Deliveries in memory, by state: ready, retrying, parked; of the scheduled ones those that are due next.",
    "consumer",
    "state",
)
OLDEST = _metric(
    "oldest_delivery_age_seconds",
    "gauge",
    "How long the oldest delivery of a consumer waits: since its message was recorded; a scheduled one, since due.",
    "consumer",
    "state",
)
LIMITED = _metric(
    "deliveries_limited", "gauge", "Deliveries in memory that wait for a limit of their handler.", "consumer"
)
UNREAD = _metric("deliveries_unread", "gauge", "Deliveries that are still in the store alone, after a start.")
UNFINISHED = _metric("unfinished_deliveries", "gauge", "Accepted and not handled yet: what the doors bound.")
BOUND = _metric(
    "unfinished_deliveries_limit", "gauge", "So many unfinished deliveries are the most; then doors refuse."
)
OUTBOX = _metric(
    "outbox_lag_seconds",
    "gauge",
    "How long the oldest message waits that is to leave: what a forwarder publishes or a link takes out.",
    "consumer",
)
COMMIT = _metric("commit_duration_seconds", "histogram", "A transaction, until it is durable.", buckets=SHORT)
COMMIT_SIZE = _metric("commit_size", "histogram", "Commits written together in one transaction.", buckets=SIZES)
MESSAGES = _metric("messages_total", "counter", "Messages that entered the log.")
REJECTED = _metric(
    "commits_rejected_total", "counter", "Commits that were dropped and made again, or were repeats, by why.", "why"
)
HANDLER = _metric(
    "handler_duration_seconds",
    "histogram",
    "Runs of handlers, listeners and forwarders: ok, error, or cancelled.",
    "consumer",
    "outcome",
    buckets=SHORT,
)
RUNNING = _metric("handlers_running", "gauge", "Handlers, listeners and forwarders that run now.")
ACCEPTED = _metric("door_accepted_total", "counter", "Messages from outside that became durable.", "message")
REPEATED = _metric("door_repeated_total", "counter", "Requests whose idempotency key was known.", "message")
REFUSED = _metric(
    "door_refused_total", "counter", "Messages from outside that were refused, by the error.", "message", "error"
)
WAITERS = _metric("waiters", "gauge", "Who waits for an outcome, or watches.")
STUCK = _metric("processes_stuck", "gauge", "Process instances that wait for a person now, up to a thousand.", "status")
READY = _metric("ready", "gauge", "1 while messages are accepted and handled.")
PARTITIONS = _metric(
    "partitions", "gauge", "Partitions of consumers (256 of each), by the worker that owns them.", "worker"
)
KAFKA_LAG = _metric(
    "kafka_lag",
    "gauge",
    "Records of the partitions that a worker reads and that are not durable here yet; 0 when nothing waits.",
    "topic",
    "group",
)
KEYS = _metric(
    "idempotency_requests_total",
    "counter",
    "Requests with an idempotency key, by what answered: memory, server (Redis or Valkey), store; in_flight: refused.",
    "answered_by",
)
FAST_PATH_ERRORS = _metric(
    "idempotency_server_errors_total",
    "counter",
    "Calls to Redis or Valkey without an answer to use: failed, skipped by the breaker, or distrusted.",
    "why",
)
BREAKER_OPENED = _metric(
    "idempotency_breaker_opened_total", "counter", "Times that Redis or Valkey was begun to be left alone."
)
BREAKER_OPEN = _metric(
    "idempotency_breaker_open", "gauge", "1 while Redis or Valkey is left alone; the store answers then."
)
