"""A link that reads topics as a member of a group, and hands their records to the doors of an engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from sagakit.errors import Busy, RetryableError, StoreUnusable, TerminalError
from sagakit.ports import Doors
from sagakit.transports.kafka.checking import check
from sagakit.transports.kafka.form.wire import Format, Record
from sagakit.transports.kafka.reading.intake import Intake
from sagakit.transports.kafka.reading.partition import Partition
from sagakit.transports.kafka.reading.tracing import taking
from sagakit.transports.kafka.settings import KafkaSettings

if TYPE_CHECKING:
    from sagakit.transports.kafka.client.lag import Place
    from sagakit.transports.kafka.client.poller import Poller

FIRST_WAIT = 0.1
LONGEST_WAIT = 10.0
_log = structlog.get_logger("sagakit.kafka")


class SetAside(Protocol):
    """What becomes of a record that cannot be taken."""

    async def __call__(self, doors: Doors, group: str, record: Record, reason: str) -> None: ...


class KafkaConsumer:
    """The link: one member of a group, which all topics share that a module reads in that group."""

    def __init__(self, group: str, settings: Callable[[], KafkaSettings], format: Format, set_aside: SetAside) -> None:
        self.name = f"kafka {group}"
        self.group = group
        self.format = format
        self.set_aside = set_aside
        self.intakes: dict[str, Intake] = {}
        self._settings = settings
        self._reading: dict[Reading, Poller] = {}

    def add(self, intake: Intake) -> None:
        """Read one more topic."""
        if intake.topic in self.intakes:
            raise ValueError(f"the group {self.group!r} reads {intake.topic!r} twice: give one of them a group=")
        self.intakes[intake.topic] = intake

    def check(self) -> None:
        """Raise KafkaUnusable for settings with which no broker can ever be reached."""
        check(self._settings)

    async def run(self, doors: Doors) -> None:
        """Hand records to these doors, until it is cancelled."""
        from sagakit.transports.kafka.client.poller import Poller

        reading = Reading(self, doors)
        poller = reading.poller = Poller(self._settings(), self.group, tuple(self.intakes), reading)
        self._reading[reading] = poller
        try:
            await poller.run()
        finally:
            del self._reading[reading]

    def ready(self) -> str | None:
        """None, or why nothing comes in."""
        if not self._reading:
            return "it reads nothing yet"
        return next((poller.trouble for poller in self._reading.values() if poller.trouble), None)

    def behind(self) -> Mapping[tuple[str, str], int]:
        """How many records wait, by their topics and this group; of topics that are not read here, nothing."""
        found: dict[tuple[str, str], int] = {}
        for reading in self._reading:
            for topic, count in reading.behind().items():
                found[topic, self.group] = found.get((topic, self.group), 0) + count
        return found

    async def take(self, doors: Doors, record: Record, *, patiently: bool = False) -> None:
        """Hand one record to its door; `patiently`: for as long as that takes. Raises what keeps it from that."""
        message, intake = self.format.read(record), self.intakes[record.topic]
        if not intake.wants(message):
            return
        scope = f"kafka {self.group}/{record.topic}"
        with taking(record, message, self.group) as placed:
            if patiently:
                await _tried(lambda: intake.take(doors, scope, placed), record)
            else:
                await intake.take(doors, scope, placed)

    async def take_again(self, record: Record) -> None:
        """Hand over a record that was set aside; RetryableError where nothing is read at the moment."""
        reading = next(iter(self._reading), None)
        if reading is None or record.topic not in self.intakes:
            raise NotReading(f"{self.name} does not read {record.topic} at the moment")
        await self.take(reading.doors, record)


class NotReading(RetryableError):
    """A record that was parked can be read once more as soon as its topic is read."""


class Reading:
    """What one run of a consumer has taken. All of it happens in the event loop."""

    poller: Poller

    def __init__(self, consumer: KafkaConsumer, doors: Doors) -> None:
        self.doors = doors
        self._consumer = consumer
        self._partitions: dict[Place, Partition] = {}
        self.received = 0
        self.unfinished = 0

    def assigned(self, places: Sequence[Place]) -> None:
        """These partitions are ours from now on."""
        for place in places:
            self._partitions[place] = Partition(self._handle, self._stored(place))

    def taken(self, records: Sequence[Record]) -> None:
        """Records of partitions that are ours; those of others came too late."""
        self.received += len(records)
        for record in records:
            partition = self._partitions.get((record.topic, record.partition))
            if partition is not None:
                self.unfinished += 1
                partition.take(record)

    async def given_up(self, places: Sequence[Place], within: float) -> Sequence[tuple[str, int, int]]:
        """These partitions go to others: end what runs; where those have to begin."""
        gone = {place: self._partitions.pop(place) for place in places if place in self._partitions}
        await asyncio.gather(*(partition.give_up(within) for partition in gone.values()))
        self.unfinished -= sum(partition.left for partition in gone.values())
        return [(*place, partition.next) for place, partition in gone.items() if partition.next is not None]

    def behind(self) -> Mapping[str, int]:
        """Records of our partitions that are not durable here, by topic: unread ones, and those under way."""
        found: dict[str, int] = {}
        for place, partition in self._partitions.items():
            reached = self.poller.lag.of(place)
            if reached is not None or partition.left:
                unread = 0 if reached is None else max(reached.end - max(reached.read, partition.taken), 0)
                found[place[0]] = found.get(place[0], 0) + unread + partition.left
        return found

    def _stored(self, place: Place) -> Callable[[int], None]:
        def stored(offset: int) -> None:
            if place in self._partitions:
                self.poller.store(*place, offset)

        return stored

    # ------------------------------------------------------------------ one record

    async def _handle(self, record: Record) -> None:
        """Return once a record is durable, here or where it is set aside; it is tried for as long as that takes."""
        try:
            await self._consumer.take(self.doors, record, patiently=True)
        except StoreUnusable as error:  # the engine can do nothing any more
            self.poller.fail(error)
            await asyncio.get_running_loop().create_future()
        except Exception as error:  # whatever is wrong with this one: the others go on
            reason = str(error) if isinstance(error, TerminalError) else f"{type(error).__name__}: {error}"
            _log.error("a record is set aside", record=record.place, group=self._consumer.group, error=reason)
            await _tried(lambda: self._set_aside(record, reason), record, also=Exception)
        self.unfinished -= 1

    async def _set_aside(self, record: Record, reason: str) -> None:
        await self._consumer.set_aside(self.doors, self._consumer.group, record, reason)


async def _tried(
    take: Callable[[], Coroutine[Any, Any, None]], record: Record, *, also: type[Exception] = RetryableError
) -> None:
    """Try until it succeeds, where trying again may help; `also`: and in spite of these errors."""
    wait = FIRST_WAIT
    while True:
        try:
            return await take()
        except Busy as error:
            await asyncio.sleep(error.retry_after or FIRST_WAIT)
        except (RetryableError, also) as error:
            _log.warning("a record is tried again", record=record.place, error=str(error), wait=wait)
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)
