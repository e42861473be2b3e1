"""The names of streams and lanes."""

from __future__ import annotations

from zlib import crc32

from sagakit.core.commit import Delivery
from sagakit.core.messages import stable_id
from sagakit.errors import InvalidMessage

PARTITIONS = 256
LONGEST = 500
"""Characters that a key or an id may have: the index of a store holds them whole."""


def stream_name(aggregate: str, key: str) -> str:
    """The stream of an aggregate; also its lane."""
    return f"{aggregate}/{key}"


def lane_name(consumer: str, key: str) -> str:
    """The lane of a key at a consumer: its deliveries run one at a time, in order."""
    return f"{consumer}/{key}"


def instance_id(process: str, key: str) -> str:
    """The id of a process instance: the same (type, key) never starts twice."""
    return stable_id(process, key)


def checked(name: str, text: str) -> str:
    """A key, or an id that others have made. Raises InvalidMessage for what not every store can hold."""
    if "\0" in text:
        raise InvalidMessage(f"{name}: {text[:40]!r} has a NUL character, which PostgreSQL cannot hold")
    if len(text) > LONGEST:
        raise InvalidMessage(f"{name}: {text[:40]!r}... has {len(text):,} characters: {LONGEST} are the most")
    return text


def partition(lane: str) -> int:
    """Which of the 256 partitions a lane belongs to; stored, never changed."""
    return crc32(lane.encode()) % PARTITIONS


def partition_of(delivery: Delivery) -> int:
    """Which partition a delivery belongs to: the one that it names, else that of its lane."""
    return delivery.partition if delivery.partition >= 0 else partition(delivery.lane)
