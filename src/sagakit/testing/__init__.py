"""For the tests of apps: scenarios of what is decided, and an engine in memory whose clock is moved by hand."""

from sagakit.testing.manual import ManualEngine, engine
from sagakit.testing.scenario import Scenario, given

__all__ = ["ManualEngine", "Scenario", "engine", "given"]
