"""What is found."""

from __future__ import annotations

from msgspec import Struct

from sagakit.bench.machine import Machine
from sagakit.bench.sizes import Sizes


class Figures(Struct, frozen=True):
    """What a run of the bench found, as it stands in the JSON file."""

    sagas_per_s: float
    floor_sagas_per_s: float
    ratio: float
    latency_p50_ms: float
    latency_p99_ms: float
    cpu_ms_per_saga: float
    batch_items_per_s: float
    batch_cpu_us_per_item: float
    batch_growth: float
    """The cost of an item in the larger of two batches, to that in the smaller one: 1 where it does not grow."""
    idle_cpu_percent: float
    idle_memory_mb: float
    asleep_start_ms: float
    timer_late_ms: float
    rounds: int
    """How many there was time for."""
    alone: int
    """How many sagas one at a time there was time for."""
    sizes: Sizes
    machine: Machine
    versions: dict[str, str]
