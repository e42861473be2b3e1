"""What an engine asks of its store, counted while it lasts: as long as an answer is to come, nothing is at rest."""

from __future__ import annotations

from inspect import iscoroutinefunction
from typing import Any


class UnderWay:
    """Stands before a store, or before what several engines share of it."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._shared: UnderWay | None = None
        self._count = 0
        cluster = getattr(inner, "cluster", None)
        if cluster is not None:
            self._shared = UnderWay(cluster)

    @property
    def count(self) -> int:
        """Operations that have not been answered."""
        return self._count + (0 if self._shared is None else self._shared.count)

    @property
    def cluster(self) -> UnderWay | None:
        """What several engines share."""
        return self._shared

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return self._counted(found) if iscoroutinefunction(found) else found

    def _counted(self, operation: Any) -> Any:
        async def counted(*args: Any, **named: Any) -> Any:
            self._count += 1
            try:
                return await operation(*args, **named)
            finally:
                self._count -= 1

        return counted
