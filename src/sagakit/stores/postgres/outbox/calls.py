"""The one statement that puts a command into a transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from sagakit.core.cluster.members import Notice
from sagakit.core.commit import Envelope, Inbox
from sagakit.stores.postgres.address import channel_of, quoted
from sagakit.stores.postgres.carried import encode_carried

TYPES = ("bytea", *["text"] * 6, "integer", "bigint", "text", "text", "text", "bytea")


@dataclass(frozen=True)
class Call:
    """A command for a consumer, due at a time."""

    schema: str
    envelope: Envelope
    consumer: str
    partition: int
    due_at: int
    inbox: Inbox | None
    notice: str
    """The kind of the notice that tells the engines, once the transaction has committed."""

    def statement(self, place: Callable[[int], str]) -> str:
        """The SQL, its places written as a driver wants them."""
        given = [f"CAST({place(number)} AS {kind})" for number, kind in enumerate(TYPES, 1)]
        return f"SELECT {quoted(self.schema)}.send_1({', '.join(given)})"

    def values(self) -> tuple[Any, ...]:
        """What stands in these places."""
        envelope, inbox = self.envelope, self.inbox
        said = msgspec.json.encode(Notice(self.notice, (str(self.partition),))).decode()
        return (
            encode_carried(envelope),
            envelope.id,
            envelope.type,
            self.consumer,
            envelope.id,
            channel_of(self.schema),
            said,
            self.partition,
            self.due_at,
            None if inbox is None else inbox.scope,
            None if inbox is None else inbox.key,
            None if inbox is None else inbox.digest,
            None if inbox is None else inbox.answer,
        )

    def known(self, found: Any) -> Inbox:
        """What the inbox holds, where the key was known."""
        digest, answer = msgspec.json.decode(found, type=tuple[str, bytes])
        assert self.inbox is not None
        return Inbox(self.inbox.scope, self.inbox.key, digest, answer)
