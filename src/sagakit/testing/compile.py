"""Makes an aggregate or a process run in a scenario, without an app: of the messages that are seen on the way."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable, Mapping
from contextlib import suppress
from operator import attrgetter
from types import FrameType, SimpleNamespace, UnionType
from typing import Any

from sagakit.core.codec import Codec, Codecs
from sagakit.core.lifecycle import Cancelled, Failed, add_lifecycle
from sagakit.core.messages import is_message_type, pinned
from sagakit.core.process import Log, Surroundings
from sagakit.core.process_manager.live import ManagerDefinition
from sagakit.core.saga.code_saga import CodeSaga, SagaDefinition
from sagakit.core.saga.step_saga import StepSaga, compile_steps
from sagakit.testing.subjects import AggregateSubject, ProcessSubject, Subject


def subject_of(subject: CodeSaga[Any] | StepSaga[Any] | type[Any], caller: FrameType) -> Subject:
    """The subject of a scenario. `caller` is whose names annotations may use."""
    names = {**caller.f_globals, **caller.f_locals}
    around = open_surroundings()
    if isinstance(subject, type):
        if hasattr(subject, "decide"):
            return AggregateSubject(subject, around.codecs)
        if hasattr(subject, "react"):
            return ProcessSubject(_manager(subject, around, names), around, lambda message: "")
    elif hasattr(subject, "key"):
        return ProcessSubject(_saga(subject, around, names), around, _key_of(subject.key))
    raise TypeError(f"{subject!r} is no aggregate, process manager, code saga or step saga")


def _saga(saga: CodeSaga[Any] | StepSaga[Any], around: Surroundings, names: Mapping[str, Any]) -> SagaDefinition:
    if isinstance(saga, CodeSaga):
        code, receives = saga.code, saga.receives
    else:
        code, receives = compile_steps(saga, lambda build: _hints(build, names)), ()
    return SagaDefinition(
        saga.name, code, around, starts_with=(), receives=receives, deadline=saga.deadline, version=saga.version
    )


def _manager(cls: type[Any], around: Surroundings, names: Mapping[str, Any]) -> ManagerDefinition:
    evolves = _takes(cls, "evolve", names) if hasattr(cls, "evolve") else frozenset[type]()
    reacts = _takes(cls, "react", names)
    return ManagerDefinition(cls.__name__, cls, around, starts_with=(), evolves=evolves, reacts=reacts, version=1)


def _key_of(path: str) -> Callable[[Any], str]:
    get = attrgetter(path)
    return lambda message: str(get(message))


def _takes(cls: type[Any], method: str, names: Mapping[str, Any]) -> frozenset[type]:
    """The classes that the first parameter of a method names."""
    hints = _hints(getattr(cls, method), {**names, cls.__name__: cls})
    hint = next((hint for name, hint in hints.items() if name != "return"), None)
    found = frozenset(_members(hint))
    if not found or not all(one in (Failed, Cancelled) or is_message_type(one) for one in found):
        raise TypeError(f"{cls.__name__}.{method}: its parameter must name the events that it takes, not {hint!r}")
    return found


def _members(hint: Any) -> list[Any]:
    while hasattr(hint, "__value__"):  # type X = ...
        hint = hint.__value__
    origin: Any = typing.get_origin(hint)
    if origin is typing.Annotated:
        return _members(typing.get_args(hint)[0])
    if origin in (typing.Union, UnionType):
        return [one for part in typing.get_args(hint) for one in _members(part)]
    return [origin or hint]


def _hints(build: Any, names: Mapping[str, Any]) -> Mapping[str, Any]:
    """The annotations of a function, each resolved for itself; a class is filled by field name and needs none."""
    found: dict[str, Any] = {}
    if isinstance(build, type):
        return found
    own = {**names, **_closed_over(build)}
    for name, hint in _written(build).items():
        holder: Any = SimpleNamespace(__annotations__={name: hint})
        try:
            found |= typing.get_type_hints(holder, getattr(build, "__globals__", {}), own, include_extras=True)
        except NameError:  # imported for type checking only
            found[name] = hint
    return found


def _written(function: Any) -> Mapping[str, Any]:
    if sys.version_info < (3, 14):
        return inspect.get_annotations(function)
    import annotationlib

    return annotationlib.get_annotations(function, format=annotationlib.Format.FORWARDREF)


def _closed_over(function: Any) -> dict[str, Any]:
    """What the free names of a function stand for."""
    free = getattr(getattr(function, "__code__", None), "co_freevars", ())
    found: dict[str, Any] = {}
    for name, cell in zip(free, getattr(function, "__closure__", None) or (), strict=True):
        with suppress(ValueError):  # not assigned yet
            found[name] = cell.cell_contents
    return found


class _Classes(dict[type, Codec]):
    """Every message class that anybody asks for."""

    def __init__(self, codecs: Codecs) -> None:
        super().__init__()
        self._codecs = codecs

    def __contains__(self, cls: object) -> bool:
        return is_message_type(cls)

    def __missing__(self, cls: type) -> Codec:
        if not is_message_type(cls):
            raise KeyError(cls)
        name, version = pinned(cls) or (cls.__qualname__.rpartition("<locals>.")[2], 1)
        if name in self._codecs.by_name:
            name = f"{cls.__module__}.{name}"
        self._codecs.add(Codec(cls, name, version))
        return self[cls]


class _SilentLog:
    def bind(self, **new_values: Any) -> _SilentLog:
        return self

    def info(self, event: str, *args: Any, **kw: Any) -> None:
        """Say nothing."""

    debug = warning = error = critical = exception = info


def open_surroundings() -> Surroundings:
    """Surroundings in which every message is known, and any may be a command."""
    codecs = Codecs()
    codecs.by_class = _Classes(codecs)
    add_lifecycle(codecs)
    silent: Log = _SilentLog()
    return Surroundings(codecs, {}, lambda process, key: silent, open=True)
