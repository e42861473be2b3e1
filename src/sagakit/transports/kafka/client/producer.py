"""An idempotent producer: many records in flight, each done when the broker has reported it written."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeAlias

import structlog

from sagakit.errors import PayloadTooLarge, RetryableError
from sagakit.transports.kafka.client.driver import KafkaError, KafkaException, Message, Producer
from sagakit.transports.kafka.client.rights import NOWHERE, Rights
from sagakit.transports.kafka.form.wire import Record
from sagakit.transports.kafka.settings import KafkaSettings, KafkaUnusable

DELIVERED_WITHIN = 10_000
"""Milliseconds until a record that is not delivered fails, to be tried again: nobody waits for a dead broker."""
UNREPORTED_AFTER = 5.0
"""Seconds after which a record that should have failed by then is not waited for any more."""
PULSE = 0.5
DOUBTED_AFTER = 2.0
"""Seconds without any broker until new records wait for one that tries whether it is back; if it is not, they fail at
once while one tries, so that no worker of the engine waits in vain."""
_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE, KafkaError.INVALID_MSG_SIZE})
_FORGOTTEN = frozenset(
    {
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.INVALID_PRODUCER_ID_MAPPING,
        KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER,
        KafkaError.PRODUCER_FENCED,
        KafkaError.UNKNOWN_PRODUCER_ID,
        KafkaError._FENCED,
    }
)
"""The broker takes this producer for another one: a new one has to take its place."""
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


_Report: TypeAlias = "tuple[asyncio.Future[None], int, KafkaError | None, str]"
"""Of a record, which the producer of this generation has written or not; and its topic."""


class KafkaUnavailable(RetryableError):
    """The broker has not confirmed a record; it may have been written all the same."""


class KafkaProducer:
    """Writes records; a thread of its own waits for the reports. Use it in one event loop."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[asyncio.Future[None], int] = {}
        self._reports: list[_Report] = []
        self._down_since: float | None = None
        self._dead = False
        self._trial: asyncio.Future[None] | None = None
        self._trouble = self._unreached = ""
        self._wedged = ""
        self._rights = Rights(settings)
        self._ended = threading.Event()
        self._limit = _limit(settings)
        self._current = (self._make(), 1)
        self._thread = threading.Thread(target=self._poll, name="sagakit kafka producer", daemon=True)
        self._thread.start()

    async def write(self, record: Record) -> None:
        """Return once the record is written, in the order of these calls for each key.

        Raises KafkaUnavailable (try again), PayloadTooLarge, KafkaUnusable.
        """
        trial = await self._admitted()
        done: asyncio.Future[None] = self._loop.create_future()
        try:
            self._produce(record, done)
            async with asyncio.timeout(self._limit):
                await done
        except TimeoutError as error:
            self._wedged = "the driver reports nothing"
            raise KafkaUnavailable(f"{self._settings}: {self._wedged}") from error
        except KafkaUnavailable:
            self._dead = self._dead or trial is not None
            raise
        finally:
            self._waiting.pop(done, None)
            if trial is not None:
                self._trial = None
                trial.set_result(None)

    def ready(self) -> str | None:
        """None, or why nothing can be written, or nothing to some topic."""
        return self._trouble or self._rights.lacking or None

    async def close(self, within: float = 5.0) -> None:
        """Wait for what is in flight, at most so many seconds."""
        if self._waiting:
            await asyncio.wait(set(self._waiting), timeout=within)
        self._ended.set()
        await asyncio.to_thread(self._thread.join)
        self._fail_all("the producer was closed", self._current[1])

    # ------------------------------------------------------------------ in the event loop

    async def _admitted(self) -> asyncio.Future[None] | None:
        """Wait until it makes sense to write. A future: this record tries whether a broker is back."""
        if self._down_since is None or time.monotonic() - self._down_since < DOUBTED_AFTER:
            return None
        if self._trial is None:
            self._trial = self._loop.create_future()
            return self._trial
        if not self._dead:
            await asyncio.wait({self._trial})
        if self._dead:
            raise KafkaUnavailable(self._trouble)
        return None

    def _produce(self, record: Record, done: asyncio.Future[None]) -> None:
        producer, generation = self._current
        self._waiting[done] = generation
        try:
            producer.produce(
                record.topic,
                value=record.value,
                key=record.key,
                headers=list(record.headers),
                on_delivery=partial(self._reported, done, generation, record.topic),
            )
        except BufferError as error:
            raise KafkaUnavailable("too many records are in flight") from error
        except KafkaException as error:
            self._rights.failed(record.topic, NOWHERE, error.args[0])
            raise self._in_words(error.args[0], record.topic) from error

    def _settle(self, reports: list[_Report]) -> None:
        for done, generation, error, topic in reports:
            if error is None:
                self._came_up()
                self._rights.passed((topic,))
            else:
                self._rights.failed(topic, NOWHERE, error)
                if generation == self._current[1] and self._is_wedged(error):
                    self._wedged = self._settings.hide(error.str())
            if done.done():
                continue
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(self._in_words(error, topic))

    def _is_wedged(self, error: KafkaError) -> bool:
        """Whether the broker is there, and this producer is what does not get on."""
        timed_out = error.code() == KafkaError._MSG_TIMED_OUT
        return error.code() in _FORGOTTEN or (timed_out and self._down_since is None)

    def _in_words(self, error: KafkaError, topic: str) -> Exception:
        if error.code() == KafkaError._MSG_TIMED_OUT and self._trouble:
            return KafkaUnavailable(self._trouble)  # why it could not be written
        text = self._rights.words(topic, error)
        if error.code() == KafkaError._MSG_TIMED_OUT:  # it is connected, or hangs as it is: TLS that is no TLS
            text = f"{self._settings}: no broker has confirmed the record in time ({error.str()})"
        if error.code() in _TOO_LARGE:
            return PayloadTooLarge(text)
        return KafkaUnusable(text) if error.code() == KafkaError.TOPIC_EXCEPTION else KafkaUnavailable(text)

    def _went_down(self, text: str, *, precise: bool) -> None:
        if self._down_since is None:
            self._down_since = time.monotonic()
        if precise or not self._trouble:  # that none can be reached is what every reason ends in
            self._trouble = text

    def _came_up(self) -> None:
        self._down_since, self._dead, self._trouble = None, False, ""

    def _fail_all(self, why: str, of: int) -> None:
        for one, generation in self._waiting.items():
            if generation <= of and not one.done():
                one.set_exception(KafkaUnavailable(f"{self._settings}: {why}"))

    # ------------------------------------------------------------------ in the thread

    def _make(self) -> Producer:
        settings = {
            "enable.idempotence": True,
            "acks": "all",
            "message.timeout.ms": DELIVERED_WITHIN,
            "linger.ms": 5,
            "compression.type": "lz4",
            "log_level": 0,
        }
        try:
            return Producer({**settings, **self._settings.client(), "error_cb": self._failed})
        except KafkaException as error:
            raise KafkaUnusable(self._settings.hide(f"{self._settings}: {error.args[0].str()}")) from error

    def _poll(self) -> None:
        while not self._ended.is_set():
            try:
                self._current[0].poll(PULSE)
                if self._down_since is not None:
                    self._look()
                elif self._wedged:
                    self._replace(self._wedged)
            except KafkaException as error:
                self._replace(self._settings.hide(error.args[0].str()))
            self._tell()
        self._current[0].flush(0)
        self._tell()

    def _look(self) -> None:
        """See whether a broker is back. One that merely hung up on an idle client is.

        One that comes back may have forgotten this producer, or take it for another one. That is found out by records
        that fail; where nothing is in flight, a new producer costs less.
        """
        try:
            self._current[0].list_topics(timeout=PULSE)
        except KafkaException as error:
            if error.args[0].fatal():
                raise
        else:
            if not self._waiting:
                with suppress(KafkaUnusable):  # a file of CAs is gone, say: this one has a connection, and is kept
                    self._renew()
            self._call(self._came_up)

    def _tell(self) -> None:
        if self._reports:
            reports, self._reports = self._reports, []
            self._call(partial(self._settle, reports))

    def _reported(
        self, done: asyncio.Future[None], generation: int, topic: str, error: KafkaError | None, _: Message
    ) -> None:
        self._reports.append((done, generation, error, topic))

    def _failed(self, error: KafkaError) -> None:
        """What librdkafka tells besides reports; it goes on by itself, unless it is fatal."""
        if error.code() in _UNREACHED:
            self._unreached = f" ({self._settings.hide(error.str())})"
        if error.code() in _DOWN:
            down = error.code() == KafkaError._ALL_BROKERS_DOWN
            text = f"no broker can be reached{self._unreached}" if down else self._settings.hide(error.str())
            self._call(partial(self._went_down, f"{self._settings}: {text}", precise=not down))

    def _replace(self, why: str) -> None:
        """A broker that has forgotten this producer takes no more from it: a new one takes its place."""
        try:
            self._renew(why)
        except KafkaUnusable as error:  # what it is made with is gone, a file of CAs say: tried until that is back
            self._wedged = why
            self._call(partial(self._went_down, str(error), precise=True))
            self._ended.wait(PULSE)
        else:
            _log.warning("a new producer has taken the place of one that failed", error=why)

    def _renew(self, why: str = "a new producer has begun") -> None:
        """What is in flight fails, and is tried again by whoever waits for it."""
        old, generation = self._current
        self._current = (self._make(), generation + 1)
        self._wedged = ""
        old.purge()
        self._call(partial(self._fail_all, why, generation))

    def _call(self, function: Callable[[], None]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function)


def _limit(settings: KafkaSettings) -> float | None:
    """Seconds until a record is reported at the latest."""
    names = ("message.timeout.ms", "delivery.timeout.ms")
    given = next((settings.options[name] for name in names if name in settings.options), str(DELIVERED_WITHIN))
    milliseconds = int(given) if given.isdecimal() else 0  # 0: without end
    return milliseconds / 1000 + UNREPORTED_AFTER if milliseconds else None
