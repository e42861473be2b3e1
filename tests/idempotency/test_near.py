"""Copies in memory: bounded in time and in bytes."""

import pytest

from sagakit.idempotency.near import Near
from sagakit.idempotency.record import Record, sealed


class Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def record(name: str, size: int = 10) -> Record:
    return sealed("db", name, "digest", answer=b'"' + b"a" * (size - 2) + b'"')


@pytest.fixture
def time() -> Time:
    return Time()


def test_a_copy_is_kept_for_its_time(time: Time) -> None:
    near = Near(10, 10_000, time)
    near.add(record("a"))
    time.now += 9.9
    assert near.find("a") == record("a")
    time.now += 0.1
    assert near.find("a") is None
    assert len(near) == 0


def test_the_oldest_make_room(time: Time) -> None:
    near = Near(10, 5_000, time)
    for number in range(100):
        near.add(record(str(number), 500))
    assert len(near) == 5
    assert near.find("94") is None
    assert near.find("95") is not None


def test_a_copy_that_is_added_again_counts_once(time: Time) -> None:
    near = Near(10, 5_000, time)
    for _ in range(100):
        near.add(record("a", 500))
        near.add(record("b", 500))
    assert len(near) == 2
    time.now += 5
    near.add(record("a", 500))  # its time begins anew
    time.now += 6
    assert near.find("a") is not None
    assert near.find("b") is None
