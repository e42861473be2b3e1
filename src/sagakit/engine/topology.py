"""Who takes what: an app put together, as the engine needs it. Made by `sagakit.app`, read-only afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from sagakit.core.codec import Codecs
from sagakit.core.decider import One
from sagakit.core.limiting.limits import Limiting
from sagakit.core.process import Definition
from sagakit.core.process_manager.answers import Reactor
from sagakit.core.retry import Retry
from sagakit.core.saga.code_saga import CodeSaga
from sagakit.core.saga.live import Surroundings
from sagakit.core.saga.step_saga import StepSaga
from sagakit.ports import Link

KeyOf: TypeAlias = Callable[[Any], str | None]
"""The key of a message; None: it is for nobody."""
ONE_KEY = "*"
"""The key path where all messages have one key."""


@dataclass(frozen=True)
class ServiceConsumer:
    """A function that handles messages: a service handler (commands), a listener or a forwarder (events)."""

    name: str
    role: Literal["handler", "listener", "forwarder"]
    function: Callable[..., Any]
    first: str
    """The name of the parameter that takes the message."""
    asks: Mapping[str, Any]
    """The other parameters, by name: the Context class or a provided type."""
    key: KeyOf | None
    retries: tuple[Retry, ...]
    timeout: float | None
    threaded: bool
    """A plain `def` with possible side effects: it runs in a thread."""
    outcomes: frozenset[type]
    open: bool = False
    """Its outcomes may be more than its source shows."""
    key_path: str = ""
    """The path of the field that is the key, as workers with other code are told it."""
    limits: tuple[Limiting, ...] = ()
    """How many of its handlings run at once, and begin in a time."""
    home: KeyOf | None = None
    """Without a key: the value that says which of several workers has a message, because a limit counts by it."""


@dataclass(frozen=True)
class AggregateConsumer:
    """An aggregate: the stream and lane of a key is `name/key`."""

    name: str
    cls: type[Any]
    key: KeyOf
    commands: frozenset[type]
    outcomes: frozenset[type]
    snapshot_every: int
    code: str
    """A digest of the class's fields and functions: a snapshot by other code is not used."""
    key_path: str = ""

    def text_of(self, key: object) -> str:
        """A key as it stands in the stream's name."""
        return "" if isinstance(key, One) else str(key)


@dataclass(frozen=True)
class ProcessConsumer:
    """A process type: its versions side by side; new instances start on the newest."""

    name: str
    key: KeyOf
    definitions: Mapping[int, Definition]
    current: Definition
    declared: CodeSaga[Any] | StepSaga[Any] | type[Reactor]
    stuck_after: int
    """Microseconds after which an instance that does not move is listed as stuck."""
    answers: bool
    """It starts with a command: whoever sent that is told how it has ended."""
    early_for: int = 0
    """Microseconds that an event waits for the start of its instance."""
    attributes: tuple[str, ...] = ()
    """The fields of what it takes that its instances are searched by."""
    key_path: str = ""
    leads_to: frozenset[type] | None = None
    """All that it may send or publish, its undos too; None: its source does not show all of it."""


Consumer: TypeAlias = ServiceConsumer | AggregateConsumer | ProcessConsumer


@dataclass(frozen=True)
class ProviderEntry:
    """What a provider gives, and what it asks for itself."""

    provides: Any
    function: Callable[..., Any]
    asks: Mapping[str, Any]


@dataclass(frozen=True)
class Topology:
    """An app put together."""

    app: str
    codecs: Codecs
    handlers: Mapping[type, ServiceConsumer | AggregateConsumer]
    """Command class to the one that handles it."""
    takers: Mapping[type, tuple[ServiceConsumer | ProcessConsumer, ...]]
    """Event class to those that take it: listeners, forwarders and processes (started by it, or taking it by key)."""
    starters: Mapping[type, tuple[ProcessConsumer, ...]]
    """Message class to the processes that it starts (whether it is sent or published)."""
    consumers: Mapping[str, Consumer]
    aggregates: Mapping[type, AggregateConsumer]
    processes: Mapping[Any, ProcessConsumer]
    """By name, and by the declared object or class."""
    providers: tuple[ProviderEntry, ...]
    commands: frozenset[type]
    """What can be sent from outside: commands that somebody handles, and those that start a process."""
    around: Surroundings
    links: tuple[Link, ...] = ()
    """What runs beside the engine and brings messages to its doors."""
    warnings: tuple[str, ...] = field(default=())
