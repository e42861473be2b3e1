"""A span, and where spans go."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol, TypeAlias

from msgspec import Struct

from sagakit.telemetry.traces.places import Place

Kind: TypeAlias = Literal["internal", "server", "client", "producer", "consumer"]
Value: TypeAlias = str | int | float | bool


class Event(NamedTuple):
    """Something that happened while a span lasted."""

    name: str
    at: int
    attributes: dict[str, Value]


class Span(Struct):
    """What has happened, from when to when (nanoseconds since 1970)."""

    name: str
    kind: Kind
    place: Place
    parent: Place | None
    began: int
    ended: int
    attributes: dict[str, Value]
    events: list[Event] = []
    links: tuple[Place, ...] = ()
    error: str | None = None
    """What went wrong, in words; None: nothing did."""

    def fail(self, error: BaseException, at: int) -> None:
        """It has ended by this error."""
        name = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
        self.error = str(error) or name
        self.attributes["error.type"] = name
        self.events.append(Event("exception", at, {"exception.type": name, "exception.message": str(error)}))


class Sink(Protocol):
    """Takes spans that have ended."""

    def samples(self, parent: Place | None, trace_id: str, name: str) -> bool:
        """Whether a story that begins here is to be traced."""
        ...

    def emit(self, span: Span) -> None:
        """A span has ended. Returns at once."""
        ...

    def close(self) -> None:
        """Send what is still here; nothing more comes."""
        ...
