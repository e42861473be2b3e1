"""Every seam of the engine: what stands behind it is an adapter."""

from sagakit.ports.doors import Behind, Doors, Link, Origin, Receipt
from sagakit.ports.stores import Cluster, Store
from sagakit.ports.world import Chance, Clock

__all__ = ["Behind", "Chance", "Clock", "Cluster", "Doors", "Link", "Origin", "Receipt", "Store"]
