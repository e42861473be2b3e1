"""A store in memory: the same rules as the durable ones, for tests and for trying things out."""

from sagakit.stores.memory.data import MemoryData
from sagakit.stores.memory.store import MemoryStore

__all__ = ["MemoryData", "MemoryStore"]
