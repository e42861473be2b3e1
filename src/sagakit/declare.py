"""What a user declares: modules, and what they handle, take, publish and run. Pure data: nothing runs or loads here."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar, overload

from sagakit.core.codec import Upcaster
from sagakit.core.decider import Decider, One
from sagakit.core.limiting.limits import AtOnces, Limit, Rates, limits_of
from sagakit.core.messages import Commands, Message, Outcome, Seconds, seconds
from sagakit.core.process_manager.answers import Reactor
from sagakit.core.retry import DEFAULT, Retry
from sagakit.core.saga.code_saga import CodeSaga
from sagakit.core.saga.operations import Saga
from sagakit.core.saga.step_saga import Step, StepSaga
from sagakit.core.saga.timing.deadline import Deadline, deadline_of
from sagakit.ports import Link

_A = TypeVar("_A", bound=Decider)
_R = TypeVar("_R", bound=Reactor)
_E = TypeVar("_E", bound=Message)
_Handler = TypeVar("_Handler", bound=Callable[..., Awaitable[Outcome]] | Callable[..., Outcome])
_Listener = TypeVar("_Listener", bound=Callable[..., Awaitable[Commands]] | Callable[..., Commands])
_Forwarder = TypeVar("_Forwarder", bound=Callable[..., Awaitable[Message | None]] | Callable[..., Message | None])
_Provider = TypeVar("_Provider", bound=Callable[..., object])

MessageTypes: TypeAlias = type[Message] | tuple[type[Message], ...]
HOUR = 3600.0
Retries: TypeAlias = Retry | Sequence[Retry]


@dataclass(frozen=True)
class HandlerDeclaration:
    """A service handler: commands in, the events they led to out."""

    name: str
    function: Callable[..., Any]
    key: str | None = None
    retries: tuple[Retry, ...] = DEFAULT
    timeout: float | None = None
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True)
class AggregateDeclaration:
    """An aggregate class, one stream a key."""

    name: str
    cls: type[Any]
    key: str | One
    snapshot_every: int = 100


@dataclass(frozen=True)
class ListenerDeclaration:
    """Whenever this event, then that: side effects or commands, no state."""

    name: str
    function: Callable[..., Any]
    key: str | None = None
    retries: tuple[Retry, ...] = DEFAULT
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True)
class ForwarderDeclaration:
    """An internal event in, an external one out."""

    name: str
    function: Callable[..., Any]
    retries: tuple[Retry, ...] = DEFAULT
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True)
class ReplierDeclaration:
    """Brings the outcomes of commands of other services back to them; it asks for a Context, which has the outcome."""

    name: str
    function: Callable[..., Any]
    retries: tuple[Retry, ...] = DEFAULT


@dataclass(frozen=True)
class ManagerDeclaration:
    """A process manager class."""

    name: str
    cls: type[Any]
    key: str
    starts_with: tuple[type[Message], ...]
    version: int = 1
    stuck_after: float = HOUR
    attributes: tuple[str, ...] = ()
    early_for: float = 0.0


@dataclass
class Declarations:
    """Everything that one module declares, in the order in which it was declared."""

    handlers: list[HandlerDeclaration] = field(default_factory=list[HandlerDeclaration])
    aggregates: list[AggregateDeclaration] = field(default_factory=list[AggregateDeclaration])
    listeners: list[ListenerDeclaration] = field(default_factory=list[ListenerDeclaration])
    forwarders: list[ForwarderDeclaration] = field(default_factory=list[ForwarderDeclaration])
    providers: list[Callable[..., object]] = field(default_factory=list[Callable[..., object]])
    code_sagas: list[CodeSaga[Any]] = field(default_factory=list[CodeSaga[Any]])
    step_sagas: list[StepSaga[Any]] = field(default_factory=list[StepSaga[Any]])
    managers: list[ManagerDeclaration] = field(default_factory=list[ManagerDeclaration])
    links: list[Link] = field(default_factory=list[Link])
    repliers: list[ReplierDeclaration] = field(default_factory=list[ReplierDeclaration])
    upcasters: dict[type, dict[int, Upcaster]] = field(default_factory=dict[type, dict[int, Upcaster]])
    local_names: dict[str, Any] = field(default_factory=dict[str, Any])
    """Names of the functions that declarations were made in: annotations may use them."""

    def count(self) -> int:
        """How many declarations there are: an app that was read before another one came is read again."""
        several = (self.handlers, self.aggregates, self.listeners, self.forwarders, self.providers)
        beside = (self.links, self.repliers)
        processes = (self.code_sagas, self.step_sagas, self.managers)
        return sum(map(len, (*several, *beside, *processes, *self.upcasters.values())))


class Module:
    """A part of an app that owns its messages: what it handles, decides, publishes and runs.

    Internal are all its events but those that `publishes` makes, and the outcomes that whoever sent a command gets.
    """

    def __init__(self, name: str) -> None:
        if not name or not all(part.isidentifier() for part in name.replace("-", "_").split(".")):
            raise ValueError(f"a module's name is made of letters, digits, '_', '-' and '.': {name!r} is not")
        self.name = name
        self.declared = Declarations()

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lower()} {self.name}>"

    @overload
    def handles(self, handler: _Handler, /) -> _Handler: ...
    @overload
    def handles(
        self,
        /,
        *,
        key: str | None = ...,
        retry: Retries = ...,
        timeout: Seconds | None = ...,
        at_once: AtOnces | None = ...,
        rate: Rates | None = ...,
    ) -> Callable[[_Handler], _Handler]: ...
    def handles(
        self,
        handler: Any = None,
        /,
        *,
        key: str | None = None,
        retry: Retries = DEFAULT,
        timeout: Seconds | None = None,
        at_once: AtOnces | None = None,
        rate: Rates | None = None,
    ) -> Any:
        """Handle the commands that the first parameter names; the return annotation names all outcomes.

        One that names `Later` too may hand a command over: its outcome then comes through `engine.answer`.
        `key`: a field path; commands of one key run one at a time, in order (default: each for itself).
        `timeout`: seconds for one attempt. A plain `def` runs in a thread.
        `at_once`: so many run at the same time; `AtOnce(5, key="tenant_id")`: so many for each value of a field.
        `rate`: so many begin in a time: `Rate(100, per=1)`. Both hold for all workers together; a list gives several.
        """

        def declare(function: Any) -> Any:
            within = None if timeout is None else seconds(timeout)
            limits = limits_of(at_once, rate)
            declared = HandlerDeclaration(function.__name__, function, key, _retries(retry), within, limits)
            self.declared.handlers.append(declared)
            self._remember_names(function, depth=3 if handler is not None else 2)
            return function

        return declare if handler is None else declare(handler)

    def aggregate(self, *, key: str | One, name: str = "", snapshot_every: int = 100) -> Callable[[type[_A]], type[_A]]:
        """Keep one stream of events a key; the class needs `decide` and `evolve`, and no arguments to start with."""

        def declare(cls: type[_A]) -> type[_A]:
            self.declared.aggregates.append(AggregateDeclaration(name or cls.__name__, cls, key, snapshot_every))
            self._remember_names(cls)
            return cls

        return declare

    @overload
    def on(self, listener: _Listener, /) -> _Listener: ...
    @overload
    def on(
        self,
        /,
        *,
        key: str | None = ...,
        retry: Retries = ...,
        at_once: AtOnces | None = ...,
        rate: Rates | None = ...,
    ) -> Callable[[_Listener], _Listener]: ...
    def on(
        self,
        listener: Any = None,
        /,
        *,
        key: str | None = None,
        retry: Retries = DEFAULT,
        at_once: AtOnces | None = None,
        rate: Rates | None = None,
    ) -> Any:
        """Whenever one of these events: `async` with side effects, or plain and returning commands.

        `at_once` and `rate`: as for `handles`.
        """

        def declare(function: Any) -> Any:
            limits = limits_of(at_once, rate)
            declared = ListenerDeclaration(function.__name__, function, key, _retries(retry), limits)
            self.declared.listeners.append(declared)
            self._remember_names(function, depth=3 if listener is not None else 2)
            return function

        return declare if listener is None else declare(listener)

    @overload
    def publishes(self, forwarder: _Forwarder, /) -> _Forwarder: ...
    @overload
    def publishes(
        self, /, *, at_once: AtOnces | None = ..., rate: Rates | None = ...
    ) -> Callable[[_Forwarder], _Forwarder]: ...
    def publishes(self, forwarder: Any = None, /, *, at_once: AtOnces | None = None, rate: Rates | None = None) -> Any:
        """Turn an internal event into an external one, or into nothing (None).

        `at_once` and `rate`: as for `handles`.
        """

        def declare(function: Any) -> Any:
            declared = ForwarderDeclaration(function.__name__, function, limits=limits_of(at_once, rate))
            self.declared.forwarders.append(declared)
            self._remember_names(function, depth=3 if forwarder is not None else 2)
            return function

        return declare if forwarder is None else declare(forwarder)

    def provides(self, provider: _Provider, /) -> _Provider:
        """Make what this returns (or an async generator yields) available by its type, while the engine runs."""
        self.declared.providers.append(provider)
        self._remember_names(provider)
        return provider

    def link(self, link: Link) -> None:
        """Run this beside the engine: it brings messages to the engine's doors."""
        self.declared.links.append(link)

    def upcasts(self, message: type[Message], *, version: int) -> Callable[[Upcaster], Upcaster]:
        """Lift stored payloads of this version (a dict of fields) to the next one."""

        def declare(upcaster: Upcaster) -> Upcaster:
            self.declared.upcasters.setdefault(message, {})[version] = upcaster
            return upcaster

        return declare

    def saga(
        self,
        *,
        key: str,
        receives: MessageTypes = (),
        deadline: Seconds | Deadline | None = None,
        stuck_after: Seconds = HOUR,
        early_for: Seconds = 0,
        attributes: Sequence[str] = (),
        version: int = 1,
        name: str = "",
    ) -> Callable[[Callable[[_E, Saga], Coroutine[Any, Any, Message | None]]], CodeSaga[_E]]:
        """Run an `async def` as a saga: it starts with its first parameter, once for each value of `key`.

        `deadline`: so long after its start it is undone, if it has not ended; a `Deadline` says what else happens.
        `stuck_after`: one that has not moved for so long is listed as stuck, unless it waits for a time.
        `early_for`: so long an event that comes by key waits for its instance to start, before it is given up.
        `attributes`: fields of what it takes (text, numbers) that its instances are searched by; the newest counts.
        """

        def declare(code: Callable[[_E, Saga], Coroutine[Any, Any, Message | None]]) -> CodeSaga[_E]:
            taken = receives if isinstance(receives, tuple) else (receives,)
            limit = deadline_of(deadline)
            saga = CodeSaga[_E](name or code.__name__, code, key=key, receives=taken, deadline=limit, version=version)
            saga.stuck_after, saga.attributes = seconds(stuck_after), _names(attributes)
            saga.early_for = seconds(early_for)
            self.declared.code_sagas.append(saga)
            self._remember_names(code)
            return saga

        return declare

    def step_saga(  # noqa: PLR0913 (options, by name)
        self,
        name: str,
        *steps: Step,
        starts_with: type[_E],
        key: str,
        undo: Callable[..., Message] | None = None,
        returns: Callable[..., Message] | None = None,
        deadline: Seconds | Deadline | None = None,
        stuck_after: Seconds = HOUR,
        early_for: Seconds = 0,
        attributes: Sequence[str] = (),
        version: int = 1,
    ) -> StepSaga[_E]:
        """Run these steps in order for each `starts_with`, and undo what was done in LIFO order if one is not done.

        `returns`: the event that it ends with, filled as commands are; the outcome of the command that starts it.
        `deadline`, `stuck_after`, `early_for` and `attributes`: as for `saga`.
        """
        saga = StepSaga[_E](
            name,
            *steps,
            starts_with=starts_with,
            key=key,
            undo=undo,
            returns=returns,
            deadline=deadline_of(deadline),
            version=version,
        )
        saga.stuck_after, saga.attributes = seconds(stuck_after), _names(attributes)
        saga.early_for = seconds(early_for)
        self.declared.step_sagas.append(saga)
        self._remember_names(steps[0].command if steps else saga)
        return saga

    def process_manager(
        self,
        *,
        key: str,
        starts_with: MessageTypes,
        stuck_after: Seconds = HOUR,
        early_for: Seconds = 0,
        attributes: Sequence[str] = (),
        version: int = 1,
        name: str = "",
    ) -> Callable[[type[_R]], type[_R]]:
        """Run a class with `react` (and `evolve`) as a process manager, one instance a key.

        `stuck_after`, `early_for` and `attributes`: as for `saga`.
        """

        def declare(cls: type[_R]) -> type[_R]:
            starts = starts_with if isinstance(starts_with, tuple) else (starts_with,)
            late, names = seconds(stuck_after), _names(attributes)
            early = seconds(early_for)
            declared = ManagerDeclaration(name or cls.__name__, cls, key, starts, version, late, names, early)
            self.declared.managers.append(declared)
            self._remember_names(cls)
            return cls

        return declare

    def _remember_names(self, declared: Any, *, depth: int = 2) -> None:
        """Keep the names around a declaration made inside a function: its annotations may be text that names them."""
        if "<locals>" in getattr(declared, "__qualname__", ""):
            frame = sys._getframe(depth)  # pyright: ignore[reportPrivateUsage]
            self.declared.local_names.update(frame.f_locals)


def _retries(retry: Retries) -> tuple[Retry, ...]:
    return (retry,) if isinstance(retry, Retry) else tuple(retry)


def _names(attributes: Sequence[str]) -> tuple[str, ...]:
    return (attributes,) if isinstance(attributes, str) else tuple(attributes)


def modules_of(modules: Sequence[Module]) -> Mapping[str, Module]:
    """Modules by name; a name that two of them have is an error."""
    named: dict[str, Module] = {}
    for module in modules:
        if named.setdefault(module.name, module) is not module:
            raise ValueError(f"two modules are named {module.name!r}")
    return named
