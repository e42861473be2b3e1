"""What the code of a saga is given: it awaits operations, and the core performs them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Generator, Iterable
from datetime import datetime
from types import CodeType, FrameType
from typing import Any, NoReturn, Protocol, TypeAlias, TypeVar, overload

from sagakit.core.bugs import place
from sagakit.core.messages import Message, Seconds
from sagakit.core.process import Log
from sagakit.core.saga.compensation import Undo, Undoer
from sagakit.core.saga.each import Asked, Each
from sagakit.errors import ProcessBug

_T = TypeVar("_T")
_T1 = TypeVar("_T1")
_T2 = TypeVar("_T2")
_T3 = TypeVar("_T3")
_E = TypeVar("_E", bound=Message)
_E1 = TypeVar("_E1", bound=Message)
_E2 = TypeVar("_E2", bound=Message)
_E3 = TypeVar("_E3", bound=Message)

Awaited: TypeAlias = Coroutine[Any, Any, _T]
UndoOf: TypeAlias = Message | Callable[[Undo[_T]], Message] | None
Then: TypeAlias = tuple[type[Any], ...] | None
"""The events that count as success; None: whatever the command leads to."""


class Operation(Coroutine[Any, Any, _T]):
    """Something that a saga awaits. Handed to the core as it is; no event loop takes part."""

    __slots__ = ("_driver", "_steps", "at", "started")

    def __init__(self, driver: Driver, at: FrameType) -> None:
        self.started = False
        self._driver = driver
        self._steps: Generator[Any, Any, _T] | None = None
        self.at: tuple[CodeType, int] | str = (at.f_code, at.f_lineno)
        """Where it was made: a line, or in words."""

    def __await__(self) -> Generator[Any, Any, _T]:
        if self.started:
            raise ProcessBug(f"{self.where()}: {self.what()} is awaited twice")
        self.started = True
        if self._driver.closing:
            raise ProcessBug(f"{self.where()}: {self.what()} while the code is being closed: nothing can be sent now")
        answer: _T = yield self
        return answer

    def send(self, value: Any, /) -> Any:
        return self._generator().send(value)

    def throw(self, *error: Any) -> Any:
        return self._generator().throw(*error)

    def close(self) -> None:
        self.started = True
        if self._steps is not None:
            self._steps.close()

    def __del__(self) -> None:
        if not self.started and not self._driver.closing:
            self._driver.dropped.append(f"{self.where()}: {self.what()} was never awaited")

    def where(self) -> str:
        """The place in the author's code where it was made."""
        return self.at if isinstance(self.at, str) else place(*self.at)

    def what(self) -> str:
        """The operation in words."""
        return "an operation of the saga"

    def _generator(self) -> Generator[Any, Any, _T]:
        if self._steps is None:
            self._steps = self.__await__()
        return self._steps


class Do(Operation[Any]):
    """Send a command and wait for its outcome."""

    __slots__ = ("command", "sent_at", "then", "timeout", "undo")

    def __init__(
        self,
        driver: Driver,
        at: FrameType,
        command: Message,
        then: Then,
        undo: Undoer | None,
        timeout: Seconds | None = None,
    ) -> None:
        super().__init__(driver, at)
        self.command = command
        self.then = then
        self.undo = undo
        self.timeout = timeout
        self.sent_at = 0

    def what(self) -> str:
        return f"do({_name_of(self.command)})"


class Receive(Operation[Any]):
    """Wait for an event that comes by key."""

    __slots__ = ("event", "timeout")

    def __init__(self, driver: Driver, at: FrameType, event: type, timeout: Seconds | None = None) -> None:
        super().__init__(driver, at)
        self.event = event
        self.timeout = timeout

    def what(self) -> str:
        return f"receive({self.event.__name__})"


class Sleep(Operation[None]):
    """Wait until so much time has passed."""

    __slots__ = ("delay",)

    def __init__(self, driver: Driver, at: FrameType, delay: Seconds) -> None:
        super().__init__(driver, at)
        self.delay = delay

    def what(self) -> str:
        return f"sleep({self.delay})"


class ForEach(Operation[Any]):
    """Send a command for each of many items, and wait until all are settled."""

    __slots__ = ("asked",)

    def __init__(self, driver: Driver, at: FrameType, asked: Asked[Any]) -> None:
        super().__init__(driver, at)
        self.asked = asked

    def what(self) -> str:
        return "each(...)"


class UndoAll(Operation[None]):
    """Undo what was done so far, and go on."""

    __slots__ = ()

    def what(self) -> str:
        return "undo()"


class Join(Operation[Any]):
    """Run several at the same time: until all are settled, or until the first is."""

    __slots__ = ("branches", "first")

    def __init__(self, driver: Driver, at: FrameType, branches: tuple[Awaited[Any], ...], first: bool) -> None:
        super().__init__(driver, at)
        self.branches = branches
        self.first = first

    def close(self) -> None:
        if not self.started:  # else they are in a group that is closed by itself
            for branch in self.branches:
                branch.close()
        super().close()

    def what(self) -> str:
        return "first(...)" if self.first else "all(...)"


class RestartWith(BaseException):
    """Raised through the code of a saga that goes on anew."""

    def __init__(self, start: Message) -> None:
        super().__init__("the saga goes on anew: only the core catches this")
        self.start = start


OPERATIONS: frozenset[type] = frozenset({Do, Receive, Sleep, ForEach, UndoAll, Join})


class Driver(Protocol):
    """What a Saga and its operations need of the core while its code runs."""

    closing: bool
    """Whether the code is being closed: nothing can be awaited then."""
    dropped: list[str]
    """What was made and never awaited, in words."""

    @property
    def now(self) -> datetime: ...
    @property
    def log(self) -> Log: ...
    def on_undo(self, undo: Undoer) -> None: ...
    def send(self, message: Message, *, command: bool) -> None: ...
    def new_id(self, name: str) -> str: ...


class Saga:
    """The saga's own hands: what it does through them is recorded, and replays the same."""

    def __init__(self, driver: Driver, id: str, key: str) -> None:
        self._driver = driver
        self.id = id
        self.key = key

    @property
    def now(self) -> datetime:
        """When the input that is being handled was recorded (UTC): the same on a replay."""
        return self._driver.now

    @property
    def log(self) -> Log:
        """A logger that is silent while the code is replayed."""
        return self._driver.log

    @overload
    def do(
        self, command: Message, *, then: None, undo: UndoOf[None] = ..., timeout: Seconds | None = ...
    ) -> Awaited[None]: ...
    @overload
    def do(
        self, command: Message, *, then: type[_E], undo: UndoOf[_E] = ..., timeout: Seconds | None = ...
    ) -> Awaited[_E]: ...
    @overload
    def do(
        self,
        command: Message,
        *,
        then: tuple[type[_E1], type[_E2]],
        undo: UndoOf[_E1 | _E2] = ...,
        timeout: Seconds | None = ...,
    ) -> Awaited[_E1 | _E2]: ...
    @overload
    def do(
        self,
        command: Message,
        *,
        then: tuple[type[_E1], type[_E2], type[_E3]],
        undo: UndoOf[_E1 | _E2 | _E3] = ...,
        timeout: Seconds | None = ...,
    ) -> Awaited[_E1 | _E2 | _E3]: ...
    def do(self, command: Message, *, then: Any, undo: Any = None, timeout: Seconds | None = None) -> Awaited[Any]:
        """Send a command and wait for its outcome: the event that `then` names (None: any, also none at all).

        `undo` is recorded with the send: a command, or a function of `Undo` that builds it and is called again as
        more is learnt. Raises Refused, or OutcomeUnknown once what the step may have left behind is undone.
        `timeout`: of the whole step, retries included; when it has passed, the step is given up and raises TimedOut
        (an OutcomeUnknown).
        """
        wanted: Then = then if then is None or then.__class__ is tuple else (then,)
        return Do(self._driver, sys._getframe(1), command, wanted, undo, timeout)  # pyright: ignore[reportPrivateUsage]

    def on_undo(self, undo: Message | Callable[[Undo[None]], Message]) -> None:
        """Run this command too when the saga is undone, after the undos of all later steps."""
        self._driver.on_undo(undo)

    def undo(self) -> Awaited[None]:
        """Undo all that was done so far, in LIFO order, and go on."""
        return UndoAll(self._driver, sys._getframe(1))  # pyright: ignore[reportPrivateUsage]

    def send(self, command: Message) -> None:
        """Send a command without waiting for it and without undo; its outcome is recorded, and changes nothing."""
        self._driver.send(command, command=True)

    def publish(self, event: Message) -> None:
        """Record an event, for whoever takes it."""
        self._driver.send(event, command=False)

    def restart_with(self, start: Message) -> NoReturn:
        """Go on anew with another start message, which carries what is still needed; the history begins here.

        For sagas that run on and on: a replay of a long history takes its time. Undos that are recorded stay, and so
        do the deadline and the events that were not received yet. For the main coroutine, while nothing is in flight.
        """
        raise RestartWith(start)

    def new_id(self, name: str) -> str:
        """An id that is the same on a replay: of this instance, the name, and how often it was asked for."""
        return self._driver.new_id(name)

    def sleep(self, delay: Seconds) -> Awaited[None]:
        """Go on after this time, counted from `now`; at once if it is none. It holds across restarts."""
        return Sleep(self._driver, sys._getframe(1), delay)  # pyright: ignore[reportPrivateUsage]

    @overload
    def receive(self, event: type[_E]) -> Awaited[_E]: ...
    @overload
    def receive(self, event: type[_E], *, timeout: None) -> Awaited[_E]: ...
    @overload
    def receive(self, event: type[_E], *, timeout: Seconds | None) -> Awaited[_E | None]: ...
    def receive(self, event: type[_E], *, timeout: Seconds | None = None) -> Awaited[Any]:
        """Wait for an event of this type, found by the saga's key. The saga must declare it with `receives`.

        None if the timeout has passed before it came.
        """
        return Receive(self._driver, sys._getframe(1), event, timeout)  # pyright: ignore[reportPrivateUsage]

    def each(
        self,
        items: Iterable[_T],
        command: Callable[[_T], Message],
        *,
        then: type[Message] | tuple[type[Message], ...] | None,
        at_once: int = 50,
        stop_at: float | None = None,
        undo: Callable[[_T], Message] | None = None,
    ) -> Awaited[Each[_T]]:
        """Send a command for each item, at most `at_once` of them in flight, and wait until all are settled.

        An item that is refused or unknown is counted and listed: `Each.failures()`. `stop_at`, a number of failures or
        a share of the items (a float), sends nothing more from then on and raises Refused. `undo` builds what undoes
        an item; it is recorded with the send. Both functions are pure: an item's command is built once and recorded.
        """
        wanted: Then = (then,) if isinstance(then, type) else then
        asked = Asked(items, command, wanted, at_once, stop_at, undo)
        return ForEach(self._driver, sys._getframe(1), asked)  # pyright: ignore[reportPrivateUsage]

    @overload
    def all(self, a: Awaited[_T1], b: Awaited[_T2], /) -> Awaited[tuple[_T1, _T2]]: ...
    @overload
    def all(self, a: Awaited[_T1], b: Awaited[_T2], c: Awaited[_T3], /) -> Awaited[tuple[_T1, _T2, _T3]]: ...
    @overload
    def all(self, *branches: Awaited[_T]) -> Awaited[tuple[_T, ...]]: ...
    def all(self, *branches: Awaited[Any]) -> Awaited[Any]:
        """Run the branches at the same time. Raises the first error, but only once every branch is settled."""
        return self._join(branches, sys._getframe(1), first=False)  # pyright: ignore[reportPrivateUsage]

    @overload
    def first(self, a: Awaited[_T1], b: Awaited[_T2], /) -> Awaited[_T1 | _T2]: ...
    @overload
    def first(self, *branches: Awaited[_T]) -> Awaited[_T]: ...
    def first(self, *branches: Awaited[Any]) -> Awaited[Any]:
        """The result of the branch that settles first. A `do` that lost is given up and undone before this returns."""
        if not branches:
            raise TypeError("first() of nothing would wait for ever")
        return self._join(branches, sys._getframe(1), first=True)  # pyright: ignore[reportPrivateUsage]

    def _join(self, branches: tuple[Awaited[Any], ...], at: FrameType, *, first: bool) -> Join:
        for branch in branches:
            if not isinstance(branch, Coroutine):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"{'first' if first else 'all'}() takes operations and coroutines, not {branch!r}")
        return Join(self._driver, at, branches, first)


def _name_of(message: object) -> str:
    return message.__name__ if isinstance(message, type) else type(message).__name__
