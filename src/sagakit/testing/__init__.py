"""For the tests of apps: scenarios of what is decided, and an engine in memory whose clock is moved by hand."""

from sagakit.stores.memory import MemoryStore
from sagakit.testing.crashes.everywhere import crash_everywhere
from sagakit.testing.crashes.trial import Trial
from sagakit.testing.faults import At, Fault, FaultyStore, SimulatedCrash
from sagakit.testing.manual import ManualClock, ManualEngine, engine
from sagakit.testing.scenario import Scenario, given

__all__ = [
    "At",
    "Fault",
    "FaultyStore",
    "ManualClock",
    "ManualEngine",
    "MemoryStore",
    "Scenario",
    "SimulatedCrash",
    "Trial",
    "crash_everywhere",
    "engine",
    "given",
]
