"""What a module declares to write to topics: the records that it makes of messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sagakit import Context, Module, wire
from sagakit.core.commit import Delivery, Envelope
from sagakit.transports.kafka import Kafka, Record


@wire("orders.Placed", version=2)
@dataclass(frozen=True)
class Placed:
    key: str
    total: int = 0


class Written:
    """An outlet that keeps what it is given."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    async def write(self, record: Record) -> None:
        self.records.append(record)


async def nothing(*_: Any) -> Any:
    raise NotImplementedError


async def test_a_record_has_the_version_of_its_payload_not_that_of_the_code() -> None:
    """Recorded by older code, and written once it had been replaced."""
    orders, written = Module("orders"), Written()
    Kafka("kafka://localhost:1").publishes(orders, "orders", Placed, key="key")
    old = Envelope("1", "event", "orders.Placed", b'{"key": "k"}', "1", 0, 1)
    [listener] = orders.declared.listeners
    function: Any = listener.function
    await function(Placed("k"), Context(Delivery(old, "to orders", "k"), nothing), written)
    [record] = written.records
    assert (record.value, dict(record.headers)["ce_dataversion"]) == (b'{"key": "k"}', b"1")
