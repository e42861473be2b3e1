"""The breaker, by a clock that is moved."""

import pytest

from sagakit.idempotency.breaker import Breaker


class Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def breaker(time: Time) -> Breaker:
    return Breaker(3, 2.0, time)


def opened(breaker: Breaker) -> None:
    assert [breaker.failed() for _ in range(3)] == [False, False, True]


def test_it_opens_at_the_third_failure_in_a_row(breaker: Breaker) -> None:
    for _ in range(2):
        breaker.failed()
    breaker.succeeded()
    assert breaker.state == "closed"
    opened(breaker)
    assert breaker.state == "open"


def test_a_probe_is_due_after_the_rest_and_only_one(breaker: Breaker, time: Time) -> None:
    assert not breaker.probe()
    opened(breaker)
    time.now += 1.999
    assert not breaker.probe()
    time.now += 0.001
    assert breaker.probe()
    assert breaker.state == "half_open"
    time.now += 1000
    assert not breaker.probe()


def test_a_probe_that_succeeds_closes_it(breaker: Breaker, time: Time) -> None:
    opened(breaker)
    time.now += 2
    breaker.probe()
    assert breaker.succeeded()
    assert breaker.state == "closed"
    opened(breaker)  # it counts from the start again


def test_a_probe_that_fails_opens_it_for_another_rest(breaker: Breaker, time: Time) -> None:
    opened(breaker)
    time.now += 2
    breaker.probe()
    assert breaker.failed()
    assert breaker.state == "open"
    time.now += 1.9
    assert not breaker.probe()
    time.now += 0.1
    assert breaker.probe()


def test_calls_that_were_under_way_when_it_opened_change_nothing(breaker: Breaker, time: Time) -> None:
    opened(breaker)
    time.now += 1.5
    assert not breaker.failed()
    assert not breaker.succeeded()
    assert breaker.state == "open"
    time.now += 0.5
    assert breaker.probe()
