"""The wire form, byte for byte, and what becomes of garbage."""

import pytest

from sagakit.transports.kafka.form.cloudevents import CloudEvents
from sagakit.transports.kafka.form.wire import InvalidRecord, Record, WireMessage

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
COMMAND = WireMessage(
    id="5a1f",
    type="payments.ChargePayment",
    version=2,
    payload=b'{"order_id":"o-1","total":"50.00"}',
    source="/payments",
    key="o-1",
    time=1_790_000_000_123_456,
    correlation_id="77aa",
    causation_id="99cc",
    undoes="31d0",
    idempotency_key="5a1f",
    trace=TRACE,
    reply_to="orders.answers",
)
ANSWER = WireMessage(
    id="c0de",
    type="payments.PaymentCharged",
    payload=b"{}",
    source="/payments",
    key="o-1",
    correlation_id="77aa",
    causation_id="5a1f",
    outcome="declared",
)
LEAST = [("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"/x"), ("ce_type", b"x.Y")]
FORM = CloudEvents()


def record(headers: list[tuple[str, bytes | None]], value: bytes | None = b"{}", **other: object) -> Record:
    return Record("t", b"k", value, headers, 3, 17, **other)  # type: ignore[arg-type]


def test_a_command_in_headers_and_bytes() -> None:
    written = FORM.write("payments.commands", COMMAND)
    assert (written.topic, written.key, written.value) == ("payments.commands", b"o-1", COMMAND.payload)
    assert list(written.headers) == [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"5a1f"),
        ("ce_source", b"/payments"),
        ("ce_type", b"payments.ChargePayment"),
        ("ce_time", b"2026-09-21T14:13:20.123456Z"),
        ("ce_dataversion", b"2"),
        ("ce_correlationid", b"77aa"),
        ("ce_causationid", b"99cc"),
        ("ce_undoes", b"31d0"),
        ("ce_idempotencykey", b"5a1f"),
        ("ce_replyto", b"orders.answers"),
        ("ce_traceparent", TRACE.encode()),
        ("content-type", b"application/json"),
        ("traceparent", TRACE.encode()),
    ]


def test_an_outcome_says_so() -> None:
    headers = dict(FORM.write("orders.answers", ANSWER).headers)
    assert headers["ce_outcome"] == b"declared"
    assert headers["ce_causationid"] == b"5a1f"
    assert "ce_replyto" not in headers


@pytest.mark.parametrize("message", [COMMAND, ANSWER])
def test_what_is_written_is_read(message: WireMessage) -> None:
    assert FORM.read(FORM.write("t", message)) == message


def test_the_least_that_a_foreign_service_must_say() -> None:
    read = FORM.read(record([*LEAST, ("content-type", b"application/json; charset=utf-8"), ("other", b"\xff")]))
    assert read == WireMessage(id="1", type="x.Y", payload=b"{}", source="/x", key="k")
    assert FORM.read(record([*LEAST], timestamp=5)).time == 5_000


def test_the_newest_hop_of_a_trace_counts() -> None:
    read = FORM.read(record([*LEAST, ("ce_traceparent", b"old"), ("traceparent", TRACE.encode())]))
    assert read.trace == TRACE


def test_structured_mode_is_read_too() -> None:
    event = (
        b'{"specversion":"1.0","id":"1","source":"/x","type":"x.Y","dataversion":2,"causationid":null,"data":{"a": 1}}'
    )
    read = FORM.read(record([("content-type", b"application/cloudevents+json; charset=UTF-8")], event))
    assert read == WireMessage(id="1", type="x.Y", payload=b'{"a": 1}', source="/x", version=2, key="k")


@pytest.mark.parametrize(
    ("header", "value", "why"),
    [
        ("ce_id", None, "the header ce_id is missing"),
        ("ce_id", b"", "the header ce_id is missing"),
        ("ce_type", None, "the header ce_type is missing"),
        ("ce_type", b"\xff", "the header ce_type is not UTF-8"),
        ("ce_specversion", b"0.3", "the header ce_specversion is '0.3': only 1.0 is read"),
        ("ce_dataversion", b"two", "the header ce_dataversion is 'two', not a number from 1"),
        ("ce_dataversion", "²".encode(), "the header ce_dataversion is '²', not a number from 1"),
        ("ce_dataversion", b"0", "the header ce_dataversion is '0', not a number from 1"),
        ("ce_dataversion", b"9" * 400, f"the header ce_dataversion is '{'9' * 20}', not a number from 1"),
        ("ce_time", b"yesterday", "the header ce_time is 'yesterday', not an RFC 3339 time"),
        ("ce_time", b"2026-01-01T00:00:00", "the header ce_time is '2026-01-01T00:00:00': it has no time zone"),
        ("ce_outcome", b"maybe", "the header ce_outcome is 'maybe', not declared or failed"),
        ("content-type", b"application/avro", "the header content-type is 'application/avro': only JSON is read"),
    ],
)
def test_garbage_is_named_with_its_place(header: str, value: bytes | None, why: str) -> None:
    headers = [(name, old) for name, old in LEAST if name != header]
    with pytest.raises(InvalidRecord) as raised:
        FORM.read(record([*headers, *([] if value is None else [(header, value)])]))
    assert str(raised.value) == f"t[3]@17: {why}"


def test_a_tombstone_is_no_message() -> None:
    with pytest.raises(InvalidRecord, match=r"t\[3\]@17: the value is missing"):
        FORM.read(record(LEAST, None))


@pytest.mark.parametrize("value", [b"garbage", b"[]", b'{"specversion":"1.0"}', b'{"id":"1","data":{}}'])
def test_garbage_in_structured_mode(value: bytes) -> None:
    with pytest.raises(InvalidRecord, match=r"^t\[3\]@17: the (value|attribute)"):
        FORM.read(record([("content-type", b"application/cloudevents+json")], value))
