"""What goes wrong at the provider, as it is told: latencies, outages, answers that are lost."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

Trouble: TypeAlias = Literal["refuse", "outage", "lost", "slow"]


class Weather(Struct, kw_only=True):
    """How the provider is today. Everything can be narrowed to one kind of request, or to one reference."""

    trouble: Trouble
    """refuse: it says no. outage: 503. lost: it is done, and the answer is not. slow: it takes `seconds`."""
    kind: str | None = None
    reference: str | None = None
    method: Literal["PUT", "DELETE"] = "PUT"
    times: int | None = None
    """So often; None: until it is told otherwise."""
    seconds: float = 1.0


class Sky:
    """All weather there is."""

    def __init__(self) -> None:
        self._weathers: list[Weather] = []

    def set(self, weathers: list[Weather]) -> None:
        """From now on this, and only this."""
        self._weathers = list(weathers)

    def over(self, method: str, kind: str, reference: str) -> Weather | None:
        """What a request meets; it counts against `times`."""
        for weather in self._weathers:
            if weather.method != method or weather.times == 0:
                continue
            if weather.kind in (None, kind) and weather.reference in (None, reference):
                if weather.times is not None:
                    weather.times -= 1
                return weather
        return None
