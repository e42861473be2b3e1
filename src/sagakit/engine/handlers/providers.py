"""What handlers ask for by type: opened when the engine starts, closed when it stops."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

from sagakit.engine.topology import ProviderEntry


class Providers:
    """Values by type. What the caller of the engine provides goes before what the app declares."""

    def __init__(self, entries: tuple[ProviderEntry, ...], given: Mapping[Any, object]) -> None:
        self._entries = {entry.provides: entry for entry in entries}
        self._values: dict[Any, object] = dict(given)
        self._stack = AsyncExitStack()

    async def open(self) -> None:
        """Open all, each after what it asks for."""
        for wanted in self._entries:
            await self._value(wanted)

    async def close(self) -> None:
        """Close all, in the reverse order."""
        await self._stack.aclose()

    def values(self, asks: Mapping[str, Any]) -> dict[str, object]:
        """The values for these parameters, without the ones that are made for each message."""
        return {name: self._values[wanted] for name, wanted in asks.items() if wanted in self._values}

    async def _value(self, wanted: Any) -> object:
        if wanted not in self._values:
            entry = self._entries[wanted]
            asked = {name: await self._value(other) for name, other in entry.asks.items()}
            self._values[wanted] = await self._opened(entry, asked)
        return self._values[wanted]

    async def _opened(self, entry: ProviderEntry, asked: Mapping[str, object]) -> object:
        function = entry.function
        if inspect.isasyncgenfunction(function):
            return await self._stack.enter_async_context(asynccontextmanager(function)(**asked))
        if inspect.isgeneratorfunction(function):
            return self._stack.enter_context(contextmanager(function)(**asked))
        value = function(**asked)
        return await value if inspect.isawaitable(value) else value
