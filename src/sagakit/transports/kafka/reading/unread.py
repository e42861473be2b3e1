"""Records that cannot be taken: written to a topic of dead letters, or parked where an operator sees them."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sagakit.core.messages import stable_id
from sagakit.errors import PayloadTooLarge
from sagakit.transports.kafka.form.wire import Record

MOST_KEPT = 512 * 1024
"""Bytes of a value that are kept where it is parked; a larger one stays in its topic alone."""
MOST_SAID = 2_000
TOO_LARGE = " (too large to be kept here)"


@dataclass(frozen=True)
class UnreadRecord:
    """A record that could not be taken. `key`, `value` and headers are base64."""

    topic: str
    partition: int
    offset: int
    group: str
    reason: str
    key: str | None = None
    headers: tuple[tuple[str, str | None], ...] = ()
    value: str | None = None
    timestamp: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether all that was in the record is here."""
        return self.value is not None or not self.reason.endswith(TOO_LARGE)


@dataclass(frozen=True)
class Parking:
    """The message classes by which one module parks records: each module owns its own."""

    unread: type[UnreadRecord]
    read: type[Any]

    @classmethod
    def new(cls) -> Parking:
        """Classes that no other module has."""

        @dataclass(frozen=True)
        class ReadRecord(UnreadRecord):
            """Read this record once more: it could not be taken."""

        @dataclass(frozen=True)
        class RecordRead:
            """A record that had been parked was taken after all."""

            topic: str
            partition: int
            offset: int

        return cls(ReadRecord, RecordRead)

    def command(self, group: str, record: Record, reason: str) -> UnreadRecord:
        """The command that parks a record."""
        large = record.value is not None and len(record.value) > MOST_KEPT
        return self.unread(
            record.topic,
            record.partition,
            record.offset,
            group,
            f"{reason[:MOST_SAID]}{TOO_LARGE}" if large else reason[:MOST_SAID],
            _text(record.key),
            tuple((name, _text(value)) for name, value in record.headers),
            None if large else _text(record.value),
            record.timestamp,
        )


def record_of(unread: UnreadRecord) -> Record:
    """The record that was parked."""
    headers = [(name, _bytes(value)) for name, value in unread.headers]
    place = (unread.partition, unread.offset, unread.timestamp)
    return Record(unread.topic, _bytes(unread.key), _bytes(unread.value), headers, *place)


def dead_letter(topic: str, group: str, record: Record, reason: str, *, whole: bool = True) -> Record:
    """A record as it is written to the dead letters: as it was, with what is wrong with it in headers.

    One that is not `whole` is too large for that: its value stays where it is.
    """
    said = {
        "deadletter_topic": record.topic,
        "deadletter_partition": str(record.partition),
        "deadletter_offset": str(record.offset),
        "deadletter_group": group,
        "deadletter_reason": reason[:MOST_SAID],
    }
    headers = [*record.headers, *((name, value.encode()) for name, value in said.items())]
    return Record(topic, record.key, record.value if whole else None, headers)


async def bury(write: Callable[[Record], Awaitable[None]], topic: str, group: str, record: Record, reason: str) -> None:
    """Write a record to the dead letters."""
    try:
        await write(dead_letter(topic, group, record, reason))
    except PayloadTooLarge as error:
        await write(dead_letter(topic, group, record, f"{reason} (its value: {error})", whole=False))


def parked_key(group: str, record: Record) -> str:
    """The same for the same record: it is parked once."""
    return stable_id("kafka", group, record.topic, str(record.partition), str(record.offset))


def _text(value: bytes | None) -> str | None:
    return None if value is None else b64encode(value).decode()


def _bytes(value: str | None) -> bytes | None:
    return None if value is None else b64decode(value)
