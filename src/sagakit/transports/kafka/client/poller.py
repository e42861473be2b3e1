"""The driver's consumer in a thread of its own: nobody else calls it, and it blocks no event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from typing import Protocol

import structlog

from sagakit.transports.kafka.client.driver import Consumer, KafkaError, KafkaException, Message, TopicPartition
from sagakit.transports.kafka.client.gap import Gap
from sagakit.transports.kafka.client.lag import INTERVAL, Lag, Place
from sagakit.transports.kafka.client.rights import NOWHERE, Rights
from sagakit.transports.kafka.client.topics import create_missing
from sagakit.transports.kafka.form.wire import Record
from sagakit.transports.kafka.settings import KafkaSettings, KafkaUnusable

PULSE = 0.1
BATCH = 500
MOST = 1_000
"""Records that are not done, until no more are read; they are again when half of them are done."""
PATIENCE = 0.2
BREATH = 0.005
"""Seconds that are waited for what is not done, before the reading is paused."""
NOT_YET = "no partitions yet: no broker has answered, or the group is still being joined"
HAND_OVER_WITHIN = 3.0
"""Seconds that what runs has to end when a partition goes to another worker, or the engine stops."""
_DOWN = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._AUTHENTICATION,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError._SSL,
    }
)
_UNREACHED = frozenset({KafkaError._TRANSPORT, KafkaError._RESOLVE})
"""Why one broker cannot be reached: told before that none can be."""
_log = structlog.get_logger("sagakit.kafka")


class Taking(Protocol):
    """What a poller tells, always in the event loop."""

    received: int
    """Records that were told."""
    unfinished: int
    """Those of them that are not done."""

    def assigned(self, places: Sequence[Place]) -> None:
        """These partitions are ours from now on."""
        ...

    def taken(self, records: Sequence[Record]) -> None:
        """Records of partitions that are ours."""
        ...

    async def given_up(self, places: Sequence[Place], within: float) -> Sequence[tuple[str, int, int]]:
        """These partitions go to others: end what runs; where those have to begin."""
        ...


class Poller:
    """Reads topics as a member of a group."""

    def __init__(self, settings: KafkaSettings, group: str, topics: Sequence[str], taking: Taking) -> None:
        self._settings = settings
        self._group = group
        self._topics = list(topics)
        self._taking = taking
        self._loop = asyncio.get_running_loop()
        self._asked: SimpleQueue[Callable[[Consumer], object]] = SimpleQueue()
        self._ended = threading.Event()
        self._over = self._loop.create_future()
        self._failure: Exception | None = None
        self._done: dict[Place, int] = {}
        self._doubted = self._paused = self._joined = self._refused = False
        self._unreached = ""
        self._handed = 0
        self._gap = Gap(settings, group, self._topics)
        self.lag = Lag()
        self._thread = threading.Thread(target=self._run, name=f"sagakit kafka {group}", daemon=True)
        self._trouble = NOT_YET
        self._rights = Rights(settings)

    @property
    def trouble(self) -> str:
        """Why nothing comes in, or not all of it."""
        return self._rights.lacking or self._trouble if self._trouble in ("", NOT_YET) else self._trouble

    async def run(self) -> None:
        """Read until cancelled; then hand over what is ours, and leave the group."""
        self._thread.start()
        try:
            await asyncio.shield(self._over)
        except asyncio.CancelledError:
            self._ended.set()
            await asyncio.wait({self._over}, timeout=HAND_OVER_WITHIN + 1)
            raise
        if self._failure is not None:
            raise self._failure

    def fail(self, error: Exception) -> None:
        """Read no more, because of this."""
        self._failure = error
        self._ended.set()

    def store(self, topic: str, partition: int, offset: int) -> None:
        """All below this offset is done: commit it with the next round."""
        asked = (topic, partition) in self._done
        self._done[topic, partition] = offset
        if not asked:
            self._asked.put(partial(self._store, (topic, partition)))

    # ------------------------------------------------------------------ in the thread

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            self._read()
        except KafkaException as failed:
            error = KafkaUnusable(self._settings.hide(f"{self._settings}: {failed.args[0].str()}"))
        except BaseException as failed:  # told where it is awaited
            error = failed
        self._call(partial(self._end, error))

    def _read(self) -> None:
        create_missing(self._settings, self._topics)
        ours = {"group.id": self._group, "error_cb": self._failed, "stats_cb": self.lag.told}
        consumer = Consumer({**_SETTINGS, **self._settings.client(), **ours})
        self._subscribe(consumer)
        try:
            while not self._ended.is_set():
                self._serve(consumer)
                self._hold_back(consumer)
                if self._gap.found(consumer):
                    _log.warning("nobody reads some of these topics: the group is joined anew", group=self._group)
                    consumer.unsubscribe()
                    self._subscribe(consumer)
                first = consumer.poll(PULSE)
                if first is not None:
                    self._hand([first])  # before any other call, in which its partition may be taken away
                    self._hand(consumer.consume(BATCH, 0))
                elif self._doubted:
                    self._look(consumer)
        finally:
            self._serve(consumer)
            consumer.close()

    def _subscribe(self, consumer: Consumer) -> None:
        self._joined = False
        consumer.subscribe(self._topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)

    def _serve(self, consumer: Consumer) -> None:
        while True:
            try:
                ask = self._asked.get_nowait()
            except Empty:
                return
            try:
                ask(consumer)
            except KafkaException as error:  # the partition is not ours any more
                _log.debug("a partition has gone", group=self._group, error=error.args[0].str())

    def _hold_back(self, consumer: Consumer) -> None:
        """Read no more than can be done; stay in the group meanwhile."""
        if not self._paused and self._waiting() >= MOST:
            until = time.monotonic() + PATIENCE
            while self._waiting() >= MOST and time.monotonic() < until:
                time.sleep(BREATH)
            if self._waiting() >= MOST:  # what is fetched already is fetched again afterwards
                consumer.pause(consumer.assignment())
                self._paused = True
        elif self._paused and self._waiting() <= MOST // 2:
            consumer.resume(consumer.assignment())
            self._paused = False
            self.lag.resumed()
        elif self._paused:
            self.lag.ask(consumer)

    def _waiting(self) -> int:
        return self._handed - self._taking.received + self._taking.unfinished

    def _store(self, place: Place, consumer: Consumer) -> None:
        offset = self._done.pop(place, None)
        if offset is not None:
            consumer.store_offsets(offsets=[TopicPartition(*place, offset)])

    def _hand(self, messages: Sequence[Message]) -> None:
        records = [_record(message) for message in messages if message.error() is None]
        for message in messages:
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                self._doubted = True
                self._say(error)
                place = (message.topic() or "", NOWHERE if message.partition() is None else message.partition() or 0)
                self._call(partial(self._rights.failed, *place, error))
        if records:
            self._doubted = False
            self._handed += len(records)
            self._call(partial(self._tell, records))

    def _look(self, consumer: Consumer) -> None:
        """See whether a broker is back. Who is not let into the group hears of that once."""
        try:
            known = consumer.list_topics(timeout=PULSE).topics
        except KafkaException:
            return
        if any(topic not in known or known[topic].error is not None for topic in self._topics):
            return
        self._doubted = False
        if self._joined or not self._refused:
            trouble = "" if self._joined else NOT_YET
            self._call(lambda: setattr(self, "_trouble", trouble))

    def _assigned(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        places = [(one.topic, one.partition) for one in partitions]
        self._paused, self._joined, self._refused = False, True, False  # these are not paused
        self._gap.assigned()
        self._call(partial(self._begin, places))

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Called while the group waits for us: what is done is committed before another worker reads on."""
        places = [(one.topic, one.partition) for one in partitions]
        stored = self._give_up(places, HAND_OVER_WITHIN)
        offsets = [TopicPartition(*one) for one in stored]
        if offsets:
            try:
                consumer.store_offsets(offsets=offsets)  # else the driver commits older ones after these
                consumer.commit(offsets=offsets, asynchronous=False)
            except KafkaException as error:
                # those who read on see some of it again, and drop it
                _log.warning("what was done could not be committed", group=self._group, error=error.args[0].str())

    def _lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        """Others may have them already: nothing may be committed."""
        self._give_up([(one.topic, one.partition) for one in partitions], 0)

    def _failed(self, error: KafkaError) -> None:
        if error.code() in _UNREACHED:
            self._unreached = f" ({self._settings.hide(error.str())})"
        if error.code() in _DOWN:
            self._doubted = True
            self._say(error)

    def _say(self, error: KafkaError) -> None:
        down = error.code() == KafkaError._ALL_BROKERS_DOWN
        self._refused = self._refused or error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED
        words = f"no broker can be reached{self._unreached}" if down else self._settings.hide(error.str())
        text = f"{self._settings}: {words}"
        self._call(lambda: self._went_down(text, precise=not down))

    def _went_down(self, text: str, *, precise: bool) -> None:
        if precise or self._trouble in ("", NOT_YET):  # that none can be reached is what every reason ends in
            self._trouble = text

    def _give_up(self, places: Sequence[Place], within: float) -> Sequence[tuple[str, int, int]]:
        stored = asyncio.run_coroutine_threadsafe(self._taking.given_up(places, within), self._loop).result()
        self.lag.forget(places)
        self._call(partial(self._rights.left, places))
        for place in places:  # were it ours once more, it might begin elsewhere
            self._done.pop(place, None)
        return stored

    def _call(self, function: Callable[[], object]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function)

    # ------------------------------------------------------------------ in the event loop

    def _begin(self, places: Sequence[Place]) -> None:
        self._trouble = ""
        self._rights.known(places)
        self._taking.assigned(places)

    def _tell(self, records: Sequence[Record]) -> None:
        self._trouble = ""
        self._rights.passed(record.topic for record in records)
        self._taking.taken(records)

    def _end(self, error: BaseException | None) -> None:
        if self._over.done():
            return
        if error is None:
            self._over.set_result(None)
        else:
            self._over.set_exception(error)


_SETTINGS = {
    "auto.offset.reset": "earliest",
    "enable.auto.commit": True,
    "enable.auto.offset.store": False,
    "auto.commit.interval.ms": 1_000,
    "partition.assignment.strategy": "cooperative-sticky",
    "session.timeout.ms": 20_000,
    "heartbeat.interval.ms": 3_000,
    "topic.metadata.refresh.interval.ms": 10_000,
    "allow.auto.create.topics": True,
    "fetch.wait.max.ms": 100,
    "queued.max.messages.kbytes": 16_384,
    "log_level": 0,
    "statistics.interval.ms": int(INTERVAL * 1_000),
}


def _record(message: Message) -> Record:
    kind, timestamp = message.timestamp()
    return Record(
        message.topic() or "",
        message.key(),
        message.value(),
        [(name, value.encode() if isinstance(value, str) else value) for name, value in message.headers() or ()],
        -1 if message.partition() is None else message.partition() or 0,
        -1 if message.offset() is None else message.offset() or 0,
        timestamp if kind else None,
    )
