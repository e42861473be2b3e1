"""Brokers for the tests of Kafka."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from tests.servers.kafka import Broker, broker


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker to kill and to pause."""
    with broker(tmp_path) as one:
        yield one


@pytest.fixture
def topic() -> str:
    """A topic that nobody else uses."""
    return f"topic-{uuid4().hex[:12]}"
