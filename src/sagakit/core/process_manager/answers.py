"""What a process manager may answer besides messages, and the shape of its class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, Protocol, TypeAlias

from msgspec import Struct

from sagakit.core.messages import Message, Seconds


class Undoing:
    """A command that undoes another one of this instance's: it never overtakes it, and any answer to it is done."""

    __struct_fields__: ClassVar[tuple[str, ...]] = ("command", "of")

    def __init__(self, command: Message, *, of: Message) -> None:
        self.command = command
        self.of = of


class Remind:
    """Tell this instance a message after some time. A reminder of the same name replaces the earlier one."""

    __struct_fields__: ClassVar[tuple[str, ...]] = ("name", "message", "after")

    def __init__(self, name: str, message: Message, *, after: Seconds) -> None:
        self.name = name
        self.message = message
        self.after = after


class Forget:
    """Do not tell the reminder of this name. One that is gone already, or never was, is no error."""

    __struct_fields__: ClassVar[tuple[str, ...]] = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class End(Struct, frozen=True):
    """The instance has come to its end."""

    status: Literal["completed", "compensated"] = "completed"
    reason: str = ""


Reactions: TypeAlias = Message | Sequence[Message] | None


class Reactor(Protocol):
    """The shape of a process manager: `evolve` is optional for what changes no state."""

    @property
    def react(self) -> Callable[[Any], Reactions]: ...
