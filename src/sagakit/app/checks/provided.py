"""What handlers and providers ask for by type: something gives it, and no provider waits for itself."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from sagakit.app.reading.parts import Parts, ProviderPart
from sagakit.app.reading.resolve import Unresolved, text
from sagakit.engine.handlers.context import Context


def that_nothing_provides(parts: Parts, given: Collection[Any]) -> Iterator[str]:
    """Parameters that cannot be filled; `given`: the types that the caller of the engine provides."""
    there = {*given, *(provider.provides for provider in parts.providers)}
    asking = [provider for provider in parts.providers if provider.provides not in given]
    for one in (*parts.services, *asking):
        for name, wanted in one.asks.items():
            if wanted in there or name in one.optional or isinstance(wanted, Unresolved):
                continue
            if wanted is not Context:
                yield (
                    f"{one.where}: nothing provides {text(wanted)} (parameter {name!r}): declare a function that "
                    f"returns it with @module.provides, or pass provide={{{text(wanted)}: ...}} when the engine starts"
                )
            elif isinstance(one, ProviderPart):
                yield f"{one.where}: a provider is opened once, and has no message: it cannot ask for a Context"


def twice(parts: Parts) -> Iterator[str]:
    """Types that several provide."""
    found: dict[Any, list[str]] = {}
    for provider in parts.providers:
        found.setdefault(provider.provides, []).append(provider.where)
    for provides, places in found.items():
        if len(places) > 1:
            yield f"{text(provides)} is provided by {' and by '.join(places)}: let one provide it"


def in_a_circle(parts: Parts) -> Iterator[str]:
    """Providers that, by what they ask for, ask for themselves."""
    by_type = {provider.provides: provider for provider in parts.providers}
    settled: set[Any] = set()
    for provider in parts.providers:
        path: list[ProviderPart] = []
        if circle := _circle(provider, by_type, path, settled):
            yield f"{' asks for '.join(one.where for one in circle)}: one of them has to do without the other"


def _circle(
    provider: ProviderPart, by_type: dict[Any, ProviderPart], path: list[ProviderPart], settled: set[Any]
) -> list[ProviderPart] | None:
    if provider in path:
        return [*path[path.index(provider) :], provider]
    if provider in settled:
        return None
    path.append(provider)
    settled.add(provider)
    for wanted in provider.asks.values():
        if wanted in by_type and (circle := _circle(by_type[wanted], by_type, path, settled)):
            return circle
    path.pop()
    return None
