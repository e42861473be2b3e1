"""Topics that are not there yet: made where the settings say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import structlog

from sagakit.transports.kafka.client.driver import AdminClient, KafkaError, KafkaException, NewTopic
from sagakit.transports.kafka.settings import KafkaSettings

PATIENCE = 10
_log = structlog.get_logger("sagakit.kafka")


def create_missing(settings: KafkaSettings, topics: Sequence[str]) -> None:
    """Create those of these topics that are not there, with `?partitions=` of the URL; without it, none. Blocks."""
    if settings.partitions is None:
        return
    client = AdminClient({**settings.client(), "log_level": 0})
    wanted = [NewTopic(topic, num_partitions=settings.partitions) for topic in topics]
    create: Any = client.create_topics  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    creating: Mapping[str, Future[None]] = create(wanted, request_timeout=PATIENCE)
    for topic, created in creating.items():
        try:
            created.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                _log.warning("a topic could not be created", topic=topic, error=settings.hide(error.args[0].str()))
