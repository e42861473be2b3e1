"""What a process manager may answer besides messages, and the shape of its class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, Protocol, TypeAlias

from msgspec import Struct

from sagakit.core.messages import Message


class Undoing:
    """A command that undoes another one of this instance's: it never overtakes it, and any answer to it is done."""

    __struct_fields__: ClassVar[tuple[str, ...]] = ("command", "of")

    def __init__(self, command: Message, *, of: Message) -> None:
        self.command = command
        self.of = of


class End(Struct, frozen=True):
    """The instance has come to its end."""

    status: Literal["completed", "compensated"] = "completed"
    reason: str = ""


Reactions: TypeAlias = Message | Sequence[Message] | None


class Reactor(Protocol):
    """The shape of a process manager: `evolve` is optional for what changes no state."""

    @property
    def react(self) -> Callable[[Any], Reactions]: ...
