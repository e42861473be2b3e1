"""What becomes of records that cannot be taken."""

from sagakit import PayloadTooLarge
from sagakit.transports.kafka.form.wire import Record
from sagakit.transports.kafka.reading.unread import MOST_KEPT, Parking, bury, parked_key, record_of

RECORD = Record("t", b"\xff", b"\x00\x01", [("a", b"\xfe"), ("b", None)], 3, 17, 99)


def test_a_parked_record_is_the_same_when_it_is_read_once_more() -> None:
    assert record_of(Parking.new().command("g", RECORD, "why")) == RECORD


def test_a_large_value_stays_in_its_topic() -> None:
    large = Record("t", b"k", b"x" * (MOST_KEPT + 1), [], 3, 17)
    parked = Parking.new().command("g", large, "why")
    assert parked.value is None
    assert parked.reason == "why (too large to be kept here)"
    assert not parked.is_whole


def test_a_record_without_a_value_is_whole() -> None:
    parked = Parking.new().command("g", Record("t", b"k", None, [], 3, 17), "why")
    assert (parked.value, parked.is_whole) == (None, True)


def test_one_record_is_parked_once() -> None:
    assert parked_key("g", RECORD) == parked_key("g", RECORD)
    assert parked_key("g", RECORD) != parked_key("h", RECORD)


async def test_a_dead_letter_that_is_too_large_goes_without_its_value() -> None:
    written: list[Record] = []

    async def write(record: Record) -> None:
        if record.value is not None:
            raise PayloadTooLarge("too large")
        written.append(record)

    await bury(write, "dead", "g", RECORD, "why")
    (letter,) = written
    headers = dict(letter.headers)
    assert (letter.topic, letter.key, headers["a"]) == ("dead", b"\xff", b"\xfe")
    assert headers["deadletter_reason"] == b"why (its value: too large)"
    assert (headers["deadletter_partition"], headers["deadletter_offset"]) == (b"3", b"17")
