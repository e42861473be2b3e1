"""A saga written as a list of steps: run forward, undone in LIFO order. Compiled to the code that a code saga would be."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Generic, TypeVar

from sagakit.core.messages import Message, field_names
from sagakit.core.saga.compensation import Undo, UndoFacts
from sagakit.core.saga.operations import Saga

_E_contra = TypeVar("_E_contra", bound=Message, contravariant=True)


class Step:
    """One step: a command (a class filled by field name, or a function of known events), its success, its undo."""

    def __init__(
        self,
        command: Callable[..., Message],
        *,
        then: type[Message] | tuple[type[Message], ...],
        undo: Callable[..., Message] | None = None,
        name: str = "",
    ) -> None:
        self.command = command
        self.then = then if isinstance(then, tuple) else (then,)
        self.undo = undo
        self.name = name or getattr(command, "__name__", "step")


class StepSaga(Generic[_E_contra]):
    """A step saga as declared."""

    def __init__(
        self,
        name: str,
        *steps: Step,
        starts_with: type[_E_contra],
        key: str,
        undo: Callable[..., Message] | None = None,
        version: int = 1,
    ) -> None:
        self.name = name
        self.steps = steps
        self.starts_with = starts_with
        self.key = key
        self.undo = undo
        self.version = version

    def __repr__(self) -> str:
        return f"<step saga {self.name}>"


class Known:
    """The events that a saga knows of, newest first: what its commands are filled from."""

    def __init__(self, start: Message) -> None:
        self._events: list[Message] = [start]

    def add(self, event: Message) -> None:
        """Learn a new event."""
        self._events.insert(0, event)

    def field(self, name: str) -> Any:
        """The field of that name of the newest event that has one; KeyError if none has."""
        for event in self._events:
            if hasattr(event, name):
                return getattr(event, name)
        raise KeyError(name)

    def event(self, cls: object) -> Message:
        """The newest event of that class; KeyError if there is none."""
        for event in self._events:
            if type(event) is cls:
                return event
        raise KeyError(cls)


class Builder:
    """Builds one command, from the events known and, for an undo, from what is known of it."""

    def __init__(self, build: Callable[..., Message], hints: Mapping[str, Any]) -> None:
        self._build = build
        self._is_class = isinstance(build, type)
        names = field_names(build) if isinstance(build, type) else tuple(inspect.signature(build).parameters)
        self._wants: list[tuple[str, Any, bool]] = [
            (name, hints.get(name), self._is_class and not _required(build, name)) for name in names
        ]

    def __call__(self, known: Known, undo: UndoFacts | None = None) -> Message:
        values: dict[str, Any] = {}
        for name, hint, optional in self._wants:
            try:
                values[name] = self._value(name, hint, known, undo)
            except KeyError:
                if not optional:
                    raise LookupError(
                        f"{getattr(self._build, '__name__', self._build)}: no known event has {name!r}"
                    ) from None
        return self._build(**values)

    def _value(self, name: str, hint: Any, known: Known, undo: UndoFacts | None) -> Any:
        if not self._is_class:
            return undo if is_undo(hint) else known.event(hint)
        if undo is not None and name == "reason":
            return undo.reason
        if undo is not None and undo.outcome is not None and hasattr(undo.outcome, name):
            return getattr(undo.outcome, name)
        return known.field(name)


def is_undo(hint: object) -> bool:
    """Whether a parameter's annotation asks for what is known of an undo."""
    return hint is Undo or getattr(hint, "__origin__", None) is Undo


def _required(cls: Callable[..., Message], name: str) -> bool:
    parameter = inspect.signature(cls).parameters.get(name)
    return parameter is not None and parameter.default is inspect.Parameter.empty


def compile_steps(
    saga: StepSaga[Any], hints: Callable[[Any], Mapping[str, Any]]
) -> Callable[[Any, Saga], Coroutine[Any, Any, None]]:
    """The code that runs these steps. `hints` gives the resolved annotations of a function or class."""
    steps = [
        (
            Builder(step.command, hints(step.command)),
            step.then,
            Builder(step.undo, hints(step.undo)) if step.undo else None,
        )
        for step in saga.steps
    ]
    undo_all = Builder(saga.undo, hints(saga.undo)) if saga.undo else None

    async def run(start: Any, hands: Saga) -> None:
        known = Known(start)

        def undoing(builder: Builder) -> Callable[[Any], Message]:
            return lambda facts: builder(known, facts)

        if undo_all is not None:
            hands.on_undo(undoing(undo_all))
        for build, then, undo in steps:
            event = await hands.do(build(known), then=then, undo=undoing(undo) if undo else None)  # type: ignore[call-overload]
            known.add(event)

    return run
