"""What the code of a saga is given: it awaits operations, and the core performs them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Generator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload
from weakref import ref

from sagakit.core.messages import Message
from sagakit.core.saga.compensation import Undo, Undoer
from sagakit.errors import ProcessBug

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from sagakit.core.saga.branches import Branch

_T = TypeVar("_T")
_T1 = TypeVar("_T1")
_T2 = TypeVar("_T2")
_T3 = TypeVar("_T3")
_E = TypeVar("_E", bound=Message)
_E1 = TypeVar("_E1", bound=Message)
_E2 = TypeVar("_E2", bound=Message)
_E3 = TypeVar("_E3", bound=Message)


class Operation(Coroutine[Any, Any, _T]):
    """Something that a saga awaits. Handed to the core as it is; no event loop takes part."""

    __slots__ = ("__weakref__", "_saga", "_steps", "line", "started")

    def __init__(self, saga: Saga) -> None:
        self._saga = saga
        self._steps: Generator[Any, Any, _T] | None = None
        self.line = _line_of_caller()
        self.started = False
        saga._made.append(ref(self))  # pyright: ignore[reportPrivateUsage]

    def __await__(self) -> Generator[Any, Any, _T]:
        if self.started:
            raise ProcessBug(f"line {self.line}: {self.what()} is awaited twice")
        self.started = True
        if self._saga._closing:  # pyright: ignore[reportPrivateUsage]
            raise ProcessBug(
                f"line {self.line}: {self.what()} while the saga is being cancelled: nothing can be sent any more"
            )
        answer: _T = yield self
        return answer

    def send(self, value: Any, /) -> Any:
        if self._steps is None:
            self._steps = self.__await__()
        return self._steps.send(value)

    def throw(self, *error: Any) -> Any:
        if self._steps is None:
            self._steps = self.__await__()
        return self._steps.throw(*error)

    def close(self) -> None:
        if self._steps is not None:
            self._steps.close()

    def what(self) -> str:
        """The operation in words."""
        return "an operation of the saga"


class Do(Operation[Any]):
    """Send a command and wait for its outcome."""

    __slots__ = ("command", "then", "undo")

    def __init__(self, saga: Saga, command: Message, then: tuple[type, ...] | None, undo: Undoer | None) -> None:
        super().__init__(saga)
        self.command = command
        self.then = then
        self.undo = undo

    def what(self) -> str:
        return f"do({type(self.command).__name__})"


class Receive(Operation[Any]):
    """Wait for an event that comes by key."""

    __slots__ = ("event",)

    def __init__(self, saga: Saga, event: type) -> None:
        super().__init__(saga)
        self.event = event

    def what(self) -> str:
        return f"receive({self.event.__name__})"


class Join(Operation[Any]):
    """Run several at the same time: until all are settled, or until the first is."""

    __slots__ = ("branches", "first", "group")

    def __init__(self, saga: Saga, branches: tuple[Coroutine[Any, Any, Any], ...], first: bool) -> None:
        super().__init__(saga)
        self.branches = branches
        self.first = first
        self.group: list[Branch] = []

    def what(self) -> str:
        return "first" if self.first else "all"


class UndoAll(Operation[None]):
    """Undo what was done so far, and go on."""

    __slots__ = ()

    def what(self) -> str:
        return "undo()"


class Driver(Protocol):
    """What a Saga needs of the core while its code runs."""

    now: datetime
    log: FilteringBoundLogger

    def on_undo(self, undo: Undoer) -> None: ...
    def send(self, message: Message, *, command: bool) -> None: ...
    def new_id(self, name: str) -> str: ...


class Saga:
    """The saga's own hands: what it does through them is recorded, and replays the same."""

    def __init__(self, driver: Driver, id: str, key: str) -> None:
        self._driver = driver
        self._made: list[ref[Operation[Any]]] = []
        self._closing = False
        self.id = id
        self.key = key

    @property
    def now(self) -> datetime:
        """When the input that is being handled was recorded (UTC): the same on a replay."""
        return self._driver.now

    @property
    def log(self) -> FilteringBoundLogger:
        """A logger that is silent while the code is replayed."""
        return self._driver.log

    # fmt: off
    @overload
    def do(self, command: Message, *, then: None, undo: Message | Callable[[Undo[None]], Message] | None = ...) -> Coroutine[Any, Any, None]: ...
    @overload
    def do(self, command: Message, *, then: type[_E], undo: Message | Callable[[Undo[_E]], Message] | None = ...) -> Coroutine[Any, Any, _E]: ...
    @overload
    def do(self, command: Message, *, then: tuple[type[_E1], type[_E2]], undo: Message | Callable[[Undo[_E1 | _E2]], Message] | None = ...) -> Coroutine[Any, Any, _E1 | _E2]: ...
    @overload
    def do(self, command: Message, *, then: tuple[type[_E1], type[_E2], type[_E3]], undo: Message | Callable[[Undo[_E1 | _E2 | _E3]], Message] | None = ...) -> Coroutine[Any, Any, _E1 | _E2 | _E3]: ...
    # fmt: on
    def do(self, command: Message, *, then: Any, undo: Any = None) -> Coroutine[Any, Any, Any]:
        """Send a command and wait for its outcome: the event that `then` names (None: any, also none at all).

        `undo` is recorded with the send: a command, or a function of `Undo` that builds it and is called again as
        more is learnt. Raises Refused, or OutcomeUnknown once what the step may have left behind is undone.
        """
        return Do(self, command, then if then is None or isinstance(then, tuple) else (then,), undo)

    def on_undo(self, undo: Message | Callable[[Undo[None]], Message]) -> None:
        """Run this command too when the saga is undone, after the undos of all later steps."""
        self._driver.on_undo(undo)

    def undo(self) -> Coroutine[Any, Any, None]:
        """Undo all that was done so far, in LIFO order, and go on."""
        return UndoAll(self)

    def send(self, command: Message) -> None:
        """Send a command without waiting for it and without undo; its outcome is recorded, and changes nothing."""
        self._driver.send(command, command=True)

    def publish(self, event: Message) -> None:
        """Record an event, for whoever takes it."""
        self._driver.send(event, command=False)

    def new_id(self, name: str) -> str:
        """An id that is the same on a replay: of this instance, the name, and how often it was asked for."""
        return self._driver.new_id(name)

    def receive(self, event: type[_E]) -> Coroutine[Any, Any, _E]:
        """Wait for an event of this type, found by the saga's key. The saga must declare it with `receives`."""
        return Receive(self, event)

    # fmt: off
    @overload
    def all(self, a: Coroutine[Any, Any, _T1], b: Coroutine[Any, Any, _T2], /) -> Coroutine[Any, Any, tuple[_T1, _T2]]: ...
    @overload
    def all(self, a: Coroutine[Any, Any, _T1], b: Coroutine[Any, Any, _T2], c: Coroutine[Any, Any, _T3], /) -> Coroutine[Any, Any, tuple[_T1, _T2, _T3]]: ...
    @overload
    def all(self, *branches: Coroutine[Any, Any, _T]) -> Coroutine[Any, Any, tuple[_T, ...]]: ...
    # fmt: on
    def all(self, *branches: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any]:
        """Run the branches at the same time. Raises the first error, but only once every branch is settled."""
        return Join(self, branches, first=False)

    # fmt: off
    @overload
    def first(self, a: Coroutine[Any, Any, _T1], b: Coroutine[Any, Any, _T2], /) -> Coroutine[Any, Any, _T1 | _T2]: ...
    @overload
    def first(self, *branches: Coroutine[Any, Any, _T]) -> Coroutine[Any, Any, _T]: ...
    # fmt: on
    def first(self, *branches: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any]:
        """The result of the branch that settles first. A `do` that lost is given up and undone before this returns."""
        return Join(self, branches, first=True)

    def forgotten(self, *, ended: bool) -> Operation[Any] | None:
        """Take note of the operations made since the last call; one that was dropped unawaited, if any."""
        lost: Operation[Any] | None = None
        kept: list[ref[Operation[Any]]] = []
        for made in self._made:
            operation = made()
            if operation is None or operation.started:
                continue
            if ended:
                lost = lost or operation
            kept.append(made)
        self._made = kept
        return lost

    def close(self) -> None:
        """From now on nothing can be awaited."""
        self._closing = True


def _line_of_caller() -> int:
    frame = sys._getframe(2)  # pyright: ignore[reportPrivateUsage]
    here = frame.f_code.co_filename
    while frame.f_back is not None and frame.f_code.co_filename == here:
        frame = frame.f_back
    return frame.f_lineno
