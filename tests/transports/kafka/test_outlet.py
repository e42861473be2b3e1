"""The way out is there before the first record: the driver takes its time until it may write."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from tests.transports.kafka.doors import until

from sagakit import App
from sagakit.core.queries import DeliveryQuery
from sagakit.transports.kafka import Kafka, Record
from sagakit.transports.kafka.settings import KafkaSettings


@dataclass(frozen=True)
class Paid:
    key: str


class Producers:
    """Stand in for the producer, and know of each that was made."""

    made: list[Producers]

    def __init__(self, settings: KafkaSettings) -> None:
        self.written: list[Record] = []
        self.closed = False
        self.made.append(self)

    async def write(self, record: Record) -> None:
        self.written.append(record)

    def ready(self) -> str | None:
        return None

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Producers]:
    """The producers."""
    monkeypatch.setattr(Producers, "made", [], raising=False)
    monkeypatch.setattr("sagakit.transports.kafka.client.producer.KafkaProducer", Producers)
    return Producers.made


def payments(url: str | None) -> App:
    app = App("payments")
    Kafka(url).publishes(app, "payments", Paid, key="key")
    return app


async def test_a_producer_is_made_when_the_engine_starts(made: list[Producers]) -> None:
    async with payments("kafka://127.0.0.1:1").engine("memory://") as engine:
        await until(lambda: made)
        (producer,) = made
        assert producer.written == []
        await engine.publish(Paid("a"))
        await until(lambda: producer.written)
        assert not producer.closed
    assert (len(made), producer.closed) == (1, True)


async def test_where_no_broker_is_given_the_engine_runs_all_the_same(
    made: list[Producers], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SAGAKIT_KAFKA", raising=False)
    async with payments(None).engine("memory://") as engine:
        assert engine.ready() is None
        await engine.publish(Paid("a"))
        async with asyncio.timeout(60):
            while not (parked := await engine.store.find_deliveries(DeliveryQuery(state="parked"))):
                await asyncio.sleep(0.01)
        assert "no broker is given" in (parked[0].error or "")
    assert made == []
