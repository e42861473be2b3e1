"""What a message is: a user's own frozen class, known on the wire by a name and a version."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from datetime import timedelta
from functools import cache
from hashlib import blake2b
from typing import Any, ClassVar, Protocol, TypeAlias, TypeVar, cast


class _DataclassLike(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


class _StructLike(Protocol):
    __struct_fields__: ClassVar[tuple[str, ...]]


class _ModelLike(Protocol):
    __pydantic_fields__: ClassVar[dict[str, Any]]


Message: TypeAlias = _DataclassLike | _StructLike | _ModelLike
"""A frozen dataclass, a msgspec Struct or a pydantic model."""

Commands: TypeAlias = Message | Sequence[Message] | None


class Later:
    """What a handler returns that has handed its command over: the outcome comes later, through `engine.answer`.

    `to`: who has the command now, in words for people.
    """

    __slots__ = ("to",)

    def __init__(self, to: str = "") -> None:
        self.to = to

    def __repr__(self) -> str:
        return f"Later({self.to!r})"


Outcome: TypeAlias = Message | Later
"""What a handler returns: an event that its command has led to, or that this is known later."""

Seconds: TypeAlias = float | timedelta

_T = TypeVar("_T")

WIRE = "__sagakit_wire__"


def wire(name: str, *, version: int = 1) -> Callable[[type[_T]], type[_T]]:
    """Pin a message's name on the wire, and the version of its shape."""

    def pin(cls: type[_T]) -> type[_T]:
        setattr(cls, WIRE, (name, version))
        return cls

    return pin


def pinned(cls: type) -> tuple[str, int] | None:
    """The name and version that `wire` gave to this very class (a subclass does not inherit them)."""
    return cls.__dict__.get(WIRE)


def wire_name(module: str, cls: type) -> str:
    """Module name and qualified name, so that nested classes group commands and events by step."""
    return f"{module}.{cls.__qualname__.rpartition('<locals>.')[2]}"


def is_message_type(cls: object) -> bool:
    """Whether this is a class whose instances can be messages."""
    return isinstance(cls, type) and any(
        hasattr(cls, mark) for mark in ("__dataclass_fields__", "__struct_fields__", "__pydantic_fields__")
    )


@cache
def field_names(cls: type[Any]) -> tuple[str, ...]:
    """The names of a message class's fields, in their order."""
    if is_dataclass(cls):
        return tuple(field.name for field in fields(cls))
    return tuple(getattr(cls, "__struct_fields__", ()) or getattr(cls, "__pydantic_fields__", ()))


def as_messages(answer: Commands) -> Sequence[Message]:
    """What a handler returned, as a sequence: None, one message or several."""
    if answer is None:
        return ()
    if isinstance(answer, list | tuple) and not hasattr(answer, "__struct_fields__"):
        return cast("Sequence[Message]", answer)
    return (cast("Message", answer),)


def stable_id(*parts: str) -> str:
    """An id made from a client's own words, the same every time (32 hexadecimal digits)."""
    digest = blake2b(digest_size=16)
    for part in parts:
        encoded = part.encode()
        digest.update(b"%d:" % len(encoded))
        digest.update(encoded)
    return digest.hexdigest()


def derived_id(input_id: str, consumer: str, index: int) -> str:
    """The id of output number `index` that `consumer` made of an input: a second run makes the same one."""
    return blake2b(f"{input_id}|{consumer}|{index}".encode(), digest_size=16).hexdigest()


def seconds(value: Seconds) -> float:
    """A duration in seconds."""
    return value.total_seconds() if isinstance(value, timedelta) else value


LONGEST = 10_000 * 366 * 86_400.0
"""Ten thousand years, in seconds: a time that far away still fits into what a store keeps."""


def microseconds(value: Seconds, what: str) -> int:
    """A duration in microseconds, for `what`; 0 for one that is over. Raises ValueError where it is none."""
    length = seconds(value)
    if type(length) not in (int, float) or not length <= LONGEST:  # NaN neither
        raise ValueError(f"{what} takes seconds or a timedelta, of ten thousand years at most, not {value!r}")
    return max(round(length * 1_000_000), 0)


def in_seconds(microseconds: int) -> str:
    """A duration in words: `30 s`, `0.5 s`."""
    return f"{microseconds / 1_000_000:f}".rstrip("0").rstrip(".") + " s"
