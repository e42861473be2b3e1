"""Way 2, a process manager: one instance a group, which counts for itself."""

from sagakit.demos.hotel.manager.group_checkout import manager

__all__ = ["manager"]
