"""Steps: every command and undo of a step saga can be filled from what is known by then."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sagakit.app.reading.parts import Parts
from sagakit.app.reading.resolve import Unresolved, annotations_of, text
from sagakit.core.messages import field_names, is_message_type
from sagakit.core.saga.step_saga import StepSaga, is_undo


def that_cannot_be_filled(parts: Parts) -> Iterator[str]:
    """Fields and parameters of steps that no event known by then has."""
    for process in parts.processes:
        saga = process.declared
        if isinstance(saga, StepSaga):
            for problem in _Filling(saga, parts.names_of(process.module)).problems():
                yield f"{process.where}, {problem}"


class _Filling:
    """Walks through the steps, and knows which events are known for certain."""

    def __init__(self, saga: StepSaga[Any], names: Mapping[str, Any]) -> None:
        self.saga = saga
        self.names = names
        self.known: list[tuple[type, ...]] = [(saga.starts_with,)]
        """One entry for each event known: what it may be."""

    def problems(self) -> Iterator[str]:
        if self.saga.undo is not None:
            yield from self._of("undo", self.saga.undo, undo=True)
        for number, step in enumerate(self.saga.steps, 1):
            at = f"step {number} ({step.name})"
            yield from self._of(at, step.command, undo=False)
            if step.undo is not None:
                yield from self._of(f"{at}, undo", step.undo, undo=True, then=step.then)
            self.known.append(step.then)
        if self.saga.returns is not None:
            yield from self._of("returns", self.saga.returns, undo=False)

    def _of(self, at: str, build: Callable[..., Any], *, undo: bool, then: tuple[type, ...] = ()) -> Iterator[str]:
        if isinstance(build, type):
            if is_message_type(build):  # else it is a problem of its own
                yield from self._fields(at, build, undo=undo, then=then)
        elif callable(build):
            yield from self._parameters(at, build, undo=undo)

    def _fields(self, at: str, cls: type, *, undo: bool, then: tuple[type, ...]) -> Iterator[str]:
        for name, parameter in inspect.signature(cls).parameters.items():
            if parameter.default is not parameter.empty or (undo and name == "reason"):
                continue
            if any(all(_has(cls, name) for cls in event) for event in self.known):
                continue
            late = any(_has(one, name) for one in then)
            why = f"; {then[0].__qualname__} comes after the undo is recorded" if late else ""
            yield (
                f"{at}: no event known by then is sure to have {cls.__qualname__}.{name}{why}: "
                "give it a default, or build the message with a function"
            )

    def _parameters(self, at: str, build: Callable[..., Any], *, undo: bool) -> Iterator[str]:
        hints = annotations_of(build, self.names)
        for name in inspect.signature(build).parameters:
            hint = hints.get(name)
            if isinstance(hint, Unresolved):
                yield f"{at}: parameter {name!r}: {hint.text} cannot be resolved: {hint.why}"
            elif is_undo(hint):
                if not undo:
                    yield f"{at}: parameter {name!r} asks for an Undo, which only an undo is given"
            elif not is_message_type(hint):
                asked = "nothing" if hint is None else text(hint)
                also = ", or Undo[...]" if undo else ""
                yield f"{at}: parameter {name!r} asks for {asked}: annotate it with the event that it needs{also}"
            elif (hint,) not in self.known:
                yield f"{at}: parameter {name!r} asks for {text(hint)}, which is not known for certain by then"


def _has(cls: type, name: str) -> bool:
    return name in field_names(cls) or hasattr(cls, name)
