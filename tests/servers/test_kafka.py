"""The broker of the tests: it comes again at the same port, and hangs where it is told to."""

from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from tests.servers.kafka import broker

pytestmark = pytest.mark.long


def topics(port: int, timeout: float) -> set[str]:
    client = AdminClient({"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0})
    return set(client.list_topics(timeout=timeout).topics)


def test_it_is_killed_and_comes_again(tmp_path: Path) -> None:
    with broker(tmp_path) as one:
        assert topics(one.port, 10) == set()
        one.pause()
        with pytest.raises(KafkaException):
            topics(one.port, 0.5)
        one.resume()
        assert topics(one.port, 10) == set()
        one.kill()
        with pytest.raises(KafkaException):
            topics(one.port, 0.5)
        one.start()
        assert topics(one.port, 10) == set()
