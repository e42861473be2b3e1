"""Topics that a broker does not let this client read or write: the driver tells of each once, whatever comes of it."""

from __future__ import annotations

from collections.abc import Iterable

from sagakit.transports.kafka.client.driver import KafkaError
from sagakit.transports.kafka.client.lag import Place
from sagakit.transports.kafka.settings import KafkaSettings

NOWHERE = -1
"""The partition of a topic of which not even the partitions may be known."""


class Rights:
    """What is refused, until it has been seen to be allowed."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._refused: dict[Place, str] = {}
        self._away: set[Place] = set()
        """Those of them that others read now; should they come back, the driver does not tell once more."""

    @property
    def lacking(self) -> str:
        """Why something cannot be read or written, in words; "" if nothing is known to be refused."""
        return next((why for place, why in self._refused.items() if place not in self._away), "")

    def words(self, topic: str, error: KafkaError) -> str:
        """An error of a topic, with its name and without secrets."""
        return self._settings.hide(f"{self._settings}: topic {topic}: {error.str()}")

    def failed(self, topic: str, partition: int, error: KafkaError) -> None:
        """It may be that this is not allowed."""
        if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            self._refused[topic, partition] = self.words(topic, error)
            self._away.discard((topic, partition))

    def passed(self, topics: Iterable[str]) -> None:
        """Records of these topics have been read, or written."""
        if self._refused:
            allowed = set(topics)
            self._refused = {place: why for place, why in self._refused.items() if place[0] not in allowed}
            self._away.intersection_update(self._refused)

    def known(self, places: Iterable[Place]) -> None:
        """The partitions of these topics may be known, and are ours: whether they may be read is told next."""
        for topic, partition in places:
            self._refused.pop((topic, NOWHERE), None)
            self._away.discard((topic, partition))

    def left(self, places: Iterable[Place]) -> None:
        """These partitions are for others to read."""
        self._away.update(place for place in places if place in self._refused)
