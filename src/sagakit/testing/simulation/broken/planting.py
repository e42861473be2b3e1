"""Planting a fault in one named function, for as long as a block lasts."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any


def nothing(*_: Any, **__: Any) -> None:
    """In the place of a function: nothing is done."""


@dataclass(frozen=True)
class Broken:
    """A promise that is broken by other code in the place of one function."""

    promise: int
    target: str
    """The function that is replaced: module, and name in it."""
    make: Callable[[Any], Any]
    """What takes its place, made of it."""

    @property
    def name(self) -> str:
        """The fault in words."""
        return self.make.__name__.replace("_", " ")

    @contextmanager
    def planted(self) -> Generator[None]:
        """Break it in this block."""
        module, _, path = self.target.partition(":")
        *owners, name = path.split(".")
        owner: Any = import_module(module)
        for part in owners:
            owner = getattr(owner, part)
        original: Any = owner.__dict__[name]
        setattr(owner, name, self.make(original))
        try:
            yield
        finally:
            setattr(owner, name, original)
