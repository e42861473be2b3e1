"""What a participant is asked, what it answers, and what it remembers of that: the same over every transport."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from sagakit.core.messages import stable_id


class Request(Struct, frozen=True, kw_only=True):
    """A command as it came over a transport."""

    id: str
    """The command's message id: the same each time that it comes."""
    type: str
    """Its name on the wire."""
    payload: bytes
    version: int = 1
    correlation_id: str = ""
    causation_id: str | None = None
    undoes: str | None = None
    """The id of the command that this one undoes."""
    trace: str | None = None
    """A W3C traceparent."""
    metadata: Mapping[str, str] = {}
    """What else its transport has to say."""


class Led(Struct, frozen=True):
    """An event that a command has led to."""

    type: str
    payload: msgspec.Raw
    version: int = 1


class Reply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to a command: its outcome."""

    causation_id: str
    """The command's id."""
    correlation_id: str = ""
    events: Sequence[Led] = ()
    failed: str | None = None
    """Why it could not be done; None: `events` are what it has led to."""
    known_not_done: bool = False
    repeated: bool = False
    """It was given before."""

    @property
    def id(self) -> str:
        """The message id of this answer: the same each time that it is given."""
        return stable_id("sagakit.reply", self.causation_id, self.outcome, self.failed or "")

    @property
    def outcome(self) -> Literal["declared", "failed"]:
        """What goes into the header that says what kind of an answer this is."""
        return "declared" if self.failed is None else "failed"


class Known(Struct, frozen=True):
    """What is remembered of a command."""

    new: bool = True
    """It is heard of for the first time."""
    reply: bytes | None = None
    """The answer that was given; None: it was begun, and nobody knows how far it came."""
    undone: bool = False
    """Its undo came before it: it is not to be done any more."""
