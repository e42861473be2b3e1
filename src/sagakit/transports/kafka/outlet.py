"""The way out of an engine: a producer, made when the engine starts, or with the first record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from sagakit.transports.kafka.form.wire import Record
from sagakit.transports.kafka.settings import KafkaSettings

if TYPE_CHECKING:
    from sagakit.transports.kafka.client.producer import KafkaProducer


def sending(topic: str, message_id: str, correlation_id: str | None) -> Mapping[str, str]:
    """What the span of a record says that is written."""
    said = {
        "messaging.system": "kafka",
        "messaging.operation.type": "send",
        "messaging.operation.name": "send",
        "messaging.destination.name": topic,
        "messaging.message.id": message_id,
    }
    return said if correlation_id is None else {**said, "messaging.message.conversation_id": correlation_id}


class Outlet:
    """Writes records, while the engine runs that it was made for."""

    def __init__(self, settings: Callable[[], KafkaSettings]) -> None:
        self._settings = settings
        self._producer: KafkaProducer | None = None

    def open(self) -> None:
        """Make the producer before a record waits for it: the driver takes half a second until it may write.

        It asks a broker for its producer id as soon as it is made, when it is connected to none, and asks again after
        500 ms; nothing sets that. Raises KafkaUnusable.
        """
        self._opened()

    async def write(self, record: Record) -> None:
        """Return once the record is written. Raises what the producer raises."""
        await self._opened().write(record)

    def ready(self) -> str | None:
        """None, or why nothing can be written."""
        return None if self._producer is None else self._producer.ready()

    def _opened(self) -> KafkaProducer:
        if self._producer is None:
            from sagakit.transports.kafka.client.producer import KafkaProducer

            self._producer = KafkaProducer(self._settings())
        return self._producer

    async def close(self) -> None:
        """Wait for what is in flight."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.close()
