"""How far a partition is read, by what the driver says of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from confluent_kafka import KafkaException, TopicPartition

from sagakit.transports.kafka.client.lag import Lag, Reached


def statistics(**said: Any) -> str:
    """Statistics of the partition t[0], as librdkafka writes them."""
    whole = {"partition": 0, "fetch_state": "active", "fetchq_cnt": 0, "hi_offset": 10, "ls_offset": 10, **said}
    return msgspec.json.encode({"name": "c", "topics": {"t": {"topic": "t", "partitions": {"0": whole}}}}).decode()


@pytest.mark.parametrize(
    ("said", "reached"),
    [
        pytest.param({"next_offset": 10, "app_offset": 10}, Reached(10, 10), id="all is read"),
        pytest.param({"next_offset": 10, "app_offset": -1001}, Reached(10, 10), id="nothing had come"),
        pytest.param({"next_offset": 10, "app_offset": 9}, Reached(10, 10), id="the last one ends a transaction"),
        pytest.param({"next_offset": 4, "app_offset": 7}, Reached(10, 7), id="fetched is told late"),
        pytest.param({"next_offset": 10, "app_offset": 4, "fetchq_cnt": 6}, Reached(10, 4), id="fetched, not taken"),
        pytest.param({"next_offset": 4, "app_offset": 4, "hi_offset": 12}, Reached(10, 4), id="an open transaction"),
        pytest.param({"next_offset": 4, "app_offset": 4, "ls_offset": -1001}, Reached(10, 4), id="no transactions"),
        pytest.param({"next_offset": 4, "hi_offset": -1001, "ls_offset": -1001}, None, id="nothing is fetched yet"),
        pytest.param({"next_offset": 4, "app_offset": 4, "fetch_state": "none"}, None, id="it is another worker's"),
    ],
)
def test_how_far_it_is_read(said: dict[str, Any], reached: Reached | None) -> None:
    lag = Lag()
    lag.told(statistics(**said))
    assert lag.of(("t", 0)) == reached
    assert lag.of(("t", 1)) is None


def test_what_is_forgotten_is_not_known_until_it_is_told_again() -> None:
    lag = Lag()
    lag.told(statistics(next_offset=4, app_offset=4))
    lag.forget([("t", 0)])
    assert lag.of(("t", 0)) is None
    lag.told(statistics(next_offset=5, app_offset=5))
    assert lag.of(("t", 0)) == Reached(10, 5)


class FakeConsumer:
    """A consumer whose broker says where t[0] ends, or does not answer."""

    def __init__(self) -> None:
        self.end: int | None = None
        self.asked = 0

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition("t", 0)]

    def offsets_for_times(self, wanted: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        self.asked += 1
        if self.end is None:
            raise KafkaException("no broker")
        return [TopicPartition(one.topic, one.partition, self.end) for one in wanted]


def test_while_nothing_is_fetched_the_broker_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    lag, consumer = Lag(), FakeConsumer()
    asked: Any = consumer
    read = statistics(next_offset=4, app_offset=4)
    lag.ask(asked)
    lag.told(read)
    assert lag.of(("t", 0)) == Reached(10, 4)  # it did not answer
    consumer.end = 50
    lag.ask(asked)
    assert consumer.asked == 1  # not for each round of the reading
    now += 5
    lag.ask(asked)
    lag.told(read)
    assert (consumer.asked, lag.of(("t", 0))) == (2, Reached(50, 4))
    lag.resumed()
    lag.told(read)
    assert lag.of(("t", 0)) == Reached(10, 4)  # as the driver has it: the topic may have been made anew
