"""What a store holds, read back as an app's own classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from sagakit.core.codec import Codecs
from sagakit.stores.memory import MemoryData

T = TypeVar("T")


def messages_of(codecs: Codecs, data: MemoryData, cls: type[T]) -> Iterator[T]:
    """All messages of a class of an app, in the order of the log."""
    codec = codecs.by_class[cls]
    for message in data.messages:
        if message.type == codec.name:
            decoded: Any = codecs.decode(message.type, message.version, message.payload)
            yield decoded


def folded(codecs: Codecs, data: MemoryData, stream: str, start: T) -> T:
    """An aggregate, folded from its stream."""
    state: Any = start
    for event in data.streams.get(stream, ()):
        state = state.evolve(codecs.decode(event.type, event.version, event.payload))
    return state
