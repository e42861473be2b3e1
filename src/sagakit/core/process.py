"""What all ways to write a process share: the inputs of a reaction, what it leads to, and the live instance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import Struct

from sagakit.core.commit import Cause, Envelope, History, Instance, Kind, Status
from sagakit.core.messages import Message


class Input(Struct, gc=False):
    """What an instance reacts to: one event, or the whole outcome of one of its commands, in the log's order."""

    envelopes: tuple[Envelope, ...]
    messages: tuple[Any, ...]

    @property
    def id(self) -> str:
        """The id that the outputs' ids derive from."""
        return self.envelopes[0].id

    @property
    def command_id(self) -> str | None:
        """The command that led to this, if one did."""
        return self.envelopes[0].causation_id

    @property
    def now(self) -> int:
        """When it was recorded."""
        return self.envelopes[0].recorded_at


class Output(Struct, gc=False):
    """A message that a reaction leads to, encoded; `message` is what a replay will read."""

    id: str
    kind: Kind
    type: str
    version: int
    payload: bytes
    message: Any
    undoes: str | None = None


class Reacted(Struct, gc=False):
    """What a reaction leads to: messages to send, and commands that are given up."""

    outputs: list[Output] = []
    withdrawn: list[str] = []


class Live(Protocol):
    """One instance in memory. Not safe to use again after an error: load it anew."""

    id: str
    key: str
    status: Status
    cause: Cause
    reason: str

    def react(self, given: Input) -> Reacted:
        """Handle one input. Raises ProcessBug if the code of the process cannot go on."""
        ...

    def snapshot(self) -> bytes:
        """The state to be stored, as JSON."""
        ...

    def undos(self) -> list[str]:
        """The wire names of the undos that are out, or still to go out."""
        ...

    def evict(self) -> None:
        """Let go of what runs. The instance is brought back by `Definition.revive`."""
        ...


class Definition(Protocol):
    """A process as its author wrote it, in one of the ways."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def starts_with(self) -> tuple[type[Message], ...]: ...
    @property
    def receives(self) -> tuple[type[Message], ...]:
        """The message types that instances take by key, without the ones that start them."""
        ...

    @property
    def replays(self) -> bool:
        """Whether a live instance is brought back by its history, not by its snapshot alone."""
        ...

    def start(self, id: str, key: str) -> Live: ...
    def revive(self, row: Instance, history: Sequence[tuple[Input, History]]) -> Live: ...


class Display(Struct, frozen=True):
    """What people see of an instance: the name of its state, and what it waits for."""

    state: str
    waiting_for: list[str]
