"""A saga written as a list of steps: run forward, undone in LIFO order. Compiled to what a code saga would be."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterable, Mapping
from types import CodeType, NoneType, UnionType
from typing import Annotated, Any, Generic, NamedTuple, TypeVar, Union, cast, get_args, get_origin

from sagakit.core.bugs import bug_of
from sagakit.core.messages import Message, Seconds, field_names
from sagakit.core.saga.compensation import Undo, UndoFacts
from sagakit.core.saga.operations import Do, Saga
from sagakit.core.saga.timing.deadline import Deadline
from sagakit.errors import NotDone, ProcessBug

_E_contra = TypeVar("_E_contra", bound=Message, contravariant=True)


class Step:
    """One step: a command (a class filled by field name, or a function of known events), its success, its undo."""

    def __init__(
        self,
        command: Callable[..., Message],
        *,
        then: type[Message] | tuple[type[Message], ...],
        undo: Callable[..., Message] | None = None,
        timeout: Seconds | None = None,
        name: str = "",
    ) -> None:
        self.command = command
        self.timeout = timeout
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
        returns: Callable[..., Message] | None = None,
        deadline: Deadline | None = None,
        version: int = 1,
    ) -> None:
        self.name = name
        self.returns = returns
        self.steps = steps
        self.deadline = deadline
        self.starts_with = starts_with
        self.key = key
        self.undo = undo
        self.version = version
        self.stuck_after = 3600.0
        """Seconds after which an instance that does not move is listed as stuck."""
        self.early_for = 0.0
        """Seconds that an event waits for the start of its instance."""
        self.attributes: tuple[str, ...] = ()
        """The fields of what it takes that its instances are searched by."""

    def __repr__(self) -> str:
        return f"<step saga {self.name}>"


class Known:
    """The events that a saga knows of, newest first: what its commands are filled from."""

    def __init__(self, events: Iterable[Any]) -> None:
        self._events = list(events)

    def add(self, event: Message) -> None:
        """Learn a new event."""
        self._events.insert(0, event)

    def now(self) -> Known:
        """What is known now, whatever is learnt later."""
        return Known(self._events)

    def field(self, name: str) -> Any:
        """The field of that name of the newest event that has one; KeyError if none has."""
        for event in self._events:
            if name in field_names(event.__class__):
                return getattr(event, name)
        raise KeyError(name)

    def event(self, classes: tuple[Any, ...]) -> Any:
        """The newest event of one of these classes; KeyError if there is none."""
        for event in self._events:
            if type(event) in classes:
                return event
        raise KeyError(classes)


class Wanted(NamedTuple):
    """A parameter of what is built, and what fills it."""

    name: str
    classes: tuple[Any, ...]
    """Events, for a function; a class is filled by field name."""
    facts: bool
    """It asks for what is known of the undo."""
    optional: bool
    nullable: bool


class Builder:
    """Builds one command, from the events known and, for an undo, from what is known of it."""

    def __init__(self, build: Callable[..., Message], hints: Mapping[str, Any]) -> None:
        self._build = build
        self._is_class = isinstance(build, type)
        self._wants = [
            self._wanted(parameter, hints.get(parameter.name))
            for parameter in inspect.signature(build).parameters.values()
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        ]
        self.name: str = getattr(build, "__name__", str(build))
        self.code: CodeType | None = getattr(build, "__code__", None)

    def __call__(self, known: Known, undo: UndoFacts | None = None) -> Message:
        if undo is not None and undo.outcome is not None:
            known = known.now()
            known.add(undo.outcome)
        values: dict[str, Any] = {}
        for want in self._wants:
            try:
                values[want.name] = self._value(want, known, undo)
            except KeyError:
                if want.nullable:
                    values[want.name] = None
                elif not want.optional:
                    raise LookupError(f"{self.name}: {self._missing(want)}") from None
        return self._build(**values)

    def _wanted(self, parameter: inspect.Parameter, hint: Any) -> Wanted:
        optional = parameter.default is not inspect.Parameter.empty
        if self._is_class:
            return Wanted(parameter.name, (), False, optional, False)
        choices = _choices(hint)
        classes = tuple(one for one in choices if one is not NoneType)
        return Wanted(parameter.name, classes, is_undo(hint), optional, len(classes) < len(choices) and not optional)

    def _value(self, want: Wanted, known: Known, undo: UndoFacts | None) -> Any:
        if not self._is_class:
            if not want.facts:
                return known.event(want.classes)
            if undo is None:
                raise KeyError(want.name)
            return undo
        if undo is not None and want.name == "reason":
            return undo.reason
        return known.field(want.name)

    def _missing(self, want: Wanted) -> str:
        if self._is_class:
            return f"no known event has {want.name!r}"
        if want.facts:
            return f"{want.name!r} asks for an Undo, which only an undo has"
        return f"no {' or '.join(getattr(one, '__name__', str(one)) for one in want.classes)} is known"


def is_undo(hint: object) -> bool:
    """Whether a parameter's annotation asks for what is known of an undo."""
    return hint is Undo or get_origin(hint) is Undo


def _choices(hint: Any) -> tuple[Any, ...]:
    """The classes that an annotation names."""
    while hasattr(hint, "__value__"):  # type X = ...
        hint = hint.__value__
    origin: Any = get_origin(hint)
    if origin is Annotated:
        return _choices(get_args(hint)[0])
    if origin in (Union, UnionType):
        return tuple(one for part in get_args(hint) for one in _choices(part))
    return (hint,)


def compile_steps(
    saga: StepSaga[Any], hints: Callable[[Any], Mapping[str, Any]]
) -> Callable[[Any, Saga], Coroutine[Any, Any, Message | None]]:
    """The code that runs these steps. `hints` gives the resolved annotations of a function or class."""
    steps = [
        (
            f"step {index} ({step.name})",
            Builder(step.command, hints(step.command)),
            step.then,
            Builder(step.undo, hints(step.undo)) if step.undo else None,
            step.timeout,
        )
        for index, step in enumerate(saga.steps, 1)
    ]
    whole = Builder(saga.undo, hints(saga.undo)) if saga.undo else None
    end = Builder(saga.returns, hints(saga.returns)) if saga.returns else None

    async def run(start: Any, hands: Saga) -> Message | None:
        known = Known((start,))
        if whole is not None:
            undo_all = _undoing(whole, known)
            _built(f"the undo of the saga ({whole.name})", whole.code, lambda: hands.on_undo(undo_all))
        for where, build, then, undo, timeout in steps:
            command: Message = _built(where, build.code, lambda build=build: build(known))
            # an undo is filled from what was known when its step was sent, and from its own outcome
            undoer = None if undo is None else _undoing(undo, known.now())
            do: Do = cast("Any", hands).do(command, then=then, undo=undoer, timeout=timeout)
            do.at = where
            known.add(await do)
        if end is None:
            return None
        returned: Message = _built(f"returns={end.name}", end.code, lambda end=end: end(known))
        return returned

    return run


def _undoing(builder: Builder, known: Known) -> Callable[[Any], Message]:
    return lambda facts: builder(known, facts)


def _built(where: str, code: CodeType | None, build: Callable[[], Any]) -> Any:
    try:
        return build()
    except NotDone:  # a function may refuse
        raise
    except Exception as error:
        raise ProcessBug(f"{where}: {bug_of(error, code)}") from error
