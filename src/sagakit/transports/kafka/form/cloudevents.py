"""CloudEvents 1.0 on Kafka: binary content mode is written; structured mode is read as well.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from sagakit.transports.kafka.form.wire import InvalidRecord, Outcome, Record, WireMessage

PREFIX = "ce_"
JSON = "application/json"
STRUCTURED = "application/cloudevents"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_OUTCOMES: Mapping[str, Outcome] = {"declared": "declared", "failed": "failed"}
_DIGITS = 9


class CloudEvents:
    """The default form: the payload as it is, all else in headers `ce_...`; the record's key is the message's."""

    def write(self, topic: str, message: WireMessage) -> Record:
        """The record of a message, in binary content mode."""
        attributes = {
            "specversion": "1.0",
            "id": message.id,
            "source": message.source,
            "type": message.type,
            "time": None if message.time is None else _written(message.time),
            "dataversion": str(message.version),
            "correlationid": message.correlation_id,
            "causationid": message.causation_id,
            "undoes": message.undoes,
            "idempotencykey": message.idempotency_key,
            "replyto": message.reply_to,
            "outcome": message.outcome,
            "traceparent": message.trace,
        }
        headers = [(PREFIX + name, value.encode()) for name, value in attributes.items() if value is not None]
        headers.append(("content-type", JSON.encode()))
        if message.trace is not None:  # where tracing libraries look for it
            headers.append(("traceparent", message.trace.encode()))
        key = None if message.key is None else message.key.encode()
        return Record(topic, key, message.payload, headers)

    def read(self, record: Record) -> WireMessage:
        """The message of a record, in binary or in structured content mode."""
        headers = dict(record.headers)
        if record.value is None:
            raise InvalidRecord(record, "the value", "is missing")
        kind = _text(record, "content-type", headers.get("content-type") or JSON.encode())
        media = kind.partition(";")[0].strip().lower()
        if media.startswith(STRUCTURED):
            return _Attributes(record, *_structured(record, media)).message()
        if media != JSON and not media.endswith("+json"):
            raise InvalidRecord(record, "the header content-type", f"is {kind[:80]!r}: only JSON is read")
        found = {name.removeprefix(PREFIX): value for name, value in headers.items() if name.startswith(PREFIX)}
        texts = {name: _text(record, PREFIX + name, value) for name, value in found.items() if value is not None}
        hop = headers.get("traceparent")
        if hop is not None:  # newer than the attribute, which tells where the message was made
            texts["traceparent"] = _text(record, "traceparent", hop)
        return _Attributes(record, texts, record.value, PREFIX).message()


class _Attributes:
    """The attributes of one event, and its data."""

    def __init__(self, record: Record, texts: Mapping[str, str], data: bytes, prefix: str) -> None:
        self._record, self._texts, self._data, self._prefix = record, texts, data, prefix

    def message(self) -> WireMessage:
        self._check_version()
        key = self._record.key
        return WireMessage(
            id=self._needed("id"),
            type=self._needed("type"),
            payload=self._data,
            source=self._needed("source"),
            version=self._number("dataversion"),
            key=None if key is None else key.decode(errors="replace"),
            time=self._time(),
            correlation_id=self._texts.get("correlationid") or None,
            causation_id=self._texts.get("causationid") or None,
            undoes=self._texts.get("undoes") or None,
            idempotency_key=self._texts.get("idempotencykey") or None,
            trace=self._texts.get("traceparent") or None,
            reply_to=self._texts.get("replyto") or None,
            outcome=self._outcome(),
        )

    def _needed(self, name: str) -> str:
        value = self._texts.get(name)
        if not value:
            raise self._wrong(name, "is missing")
        return value

    def _check_version(self) -> None:
        version = self._needed("specversion")
        if version.partition(".")[0] != "1":
            raise self._wrong("specversion", f"is {version[:20]!r}: only 1.0 is read")

    def _number(self, name: str) -> int:
        value = self._texts.get(name, "1")
        if not value.isdecimal() or not value.isascii() or len(value) > _DIGITS or int(value) < 1:
            raise self._wrong(name, f"is {value[:20]!r}, not a number from 1")
        return int(value)

    def _time(self) -> int | None:
        value = self._texts.get("time")
        if value is None:
            return None if self._record.timestamp is None else self._record.timestamp * 1_000
        try:
            moment = msgspec.convert(value, datetime)
        except msgspec.ValidationError as error:
            raise self._wrong("time", f"is {value[:40]!r}, not an RFC 3339 time") from error
        if moment.tzinfo is None:
            raise self._wrong("time", f"is {value[:40]!r}: it has no time zone")
        return (moment - _EPOCH) // _MICROSECOND

    def _outcome(self) -> Outcome | None:
        value = self._texts.get("outcome")
        if not value:
            return None
        if value not in _OUTCOMES:
            raise self._wrong("outcome", f"is {value[:20]!r}, not declared or failed")
        return _OUTCOMES[value]

    def _wrong(self, name: str, why: str) -> InvalidRecord:
        what = f"the header {self._prefix}{name}" if self._prefix else f"the attribute {name}"
        return InvalidRecord(self._record, what, why)


def _structured(record: Record, media: str) -> tuple[Mapping[str, str], bytes, str]:
    if media != "application/cloudevents+json":
        raise InvalidRecord(record, "the header content-type", f"is {media[:80]!r}: only JSON is read")
    try:
        event = msgspec.json.decode(record.value or b"", type=dict[str, msgspec.Raw])
    except msgspec.DecodeError as error:
        raise InvalidRecord(record, "the value", f"is no CloudEvent: {error}") from error
    data = event.pop("data", None)
    if data is None:
        raise InvalidRecord(record, "the attribute data", "is missing: only JSON data is read")
    texts: dict[str, str] = {}
    for name, raw in event.items():
        value = msgspec.json.decode(raw)
        if value is not None:
            texts[name] = value if isinstance(value, str) else bytes(raw).decode()
    return texts, bytes(data), ""


def _text(record: Record, header: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InvalidRecord(record, f"the header {header}", "is not UTF-8") from error


def _written(time: int) -> str:
    return (_EPOCH + timedelta(microseconds=time)).isoformat().replace("+00:00", "Z")
