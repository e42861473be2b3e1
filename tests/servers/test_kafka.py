"""The broker of the tests: it comes again at the same port, and hangs where it is told to."""

from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from tests.servers.kafka import begin_at_zero, broker

pytestmark = pytest.mark.long


def topics(port: int, timeout: float) -> set[str]:
    client = AdminClient({"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0})
    return set(client.list_topics(timeout=timeout).topics)


def test_it_is_killed_and_comes_again(tmp_path: Path) -> None:
    with broker(tmp_path) as one:
        assert topics(one.port, 60) == set()
        one.pause()
        with pytest.raises(KafkaException):
            topics(one.port, 0.5)
        one.resume()
        assert topics(one.port, 60) == set()
        one.kill()
        with pytest.raises(KafkaException):
            topics(one.port, 0.5)
        one.start()
        assert topics(one.port, 60) == set()


def test_a_group_begins_at_zero_wherever_a_topic_is_said_to_begin(tmp_path: Path) -> None:
    with broker(tmp_path) as one:
        begin_at_zero(one.url, "orders", group="readers")
        client = {"bootstrap.servers": f"127.0.0.1:{one.port}", "log_level": 0}
        producer = Producer(client)
        producer.produce("orders", value=b"the very first")
        assert producer.flush(20) == 0
        group = {"group.id": "readers", "session.timeout.ms": 2000, "heartbeat.interval.ms": 300}
        consumer = Consumer({**client, **group, "auto.offset.reset": "latest"})  # would pass over what is there
        try:
            consumer.subscribe(["orders"])
            message = consumer.poll(60)
            assert message is not None
            assert (message.error(), message.value(), message.offset()) == (None, b"the very first", 0)
        finally:
            consumer.close()
