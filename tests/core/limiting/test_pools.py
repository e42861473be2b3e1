"""Slots and tokens: never more than the limit, and the shares of workers add up to it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sagakit.core.limiting.pools import Share, Slots, Tokens

SECOND = 1_000_000


def test_slots_come_back() -> None:
    slots = Slots(2)
    slots.take(0)
    slots.take(0)
    assert slots.free(0) == 0
    slots.give_back()
    assert (slots.free(0), slots.opens_at(), slots.at_rest(0)) == (1, None, False)
    slots.give_back()
    assert slots.at_rest(0)


def test_a_smaller_share_lets_what_runs_go_on() -> None:
    slots = Slots(4)
    for _ in range(4):
        slots.take(0)
    slots.shared(Share(2, 0), 0)
    assert slots.free(0) == -2


@given(st.integers(1, 500), st.integers(1, 20), st.integers(0, 300))
def test_shares_add_up_and_differ_by_one_at_most(whole: int, workers: int, turn: int) -> None:
    parts = [Share(workers, place).part(whole, turn) for place in range(workers)]
    assert sum(parts) == whole
    assert max(parts) - min(parts) <= 1


def test_tokens_come_evenly() -> None:
    tokens = Tokens(4, SECOND, 1)
    assert tokens.free(0) == 1
    tokens.take(0)
    assert (tokens.free(0), tokens.opens_at()) == (0, SECOND // 4)
    assert (tokens.free(SECOND // 4 - 1), tokens.free(SECOND // 4), tokens.at_rest(SECOND // 4)) == (0, 1, True)


def test_a_bucket_holds_its_burst_and_no_more() -> None:
    tokens = Tokens(1, SECOND, 3)
    assert tokens.free(100 * SECOND) == 3
    for _ in range(3):
        tokens.take(100 * SECOND)
    assert (tokens.free(100 * SECOND), tokens.free(102 * SECOND), tokens.free(999 * SECOND)) == (0, 2, 3)
    assert tokens.opens_at() == 101 * SECOND


def test_an_interval_that_is_no_whole_number_never_gives_too_many() -> None:
    tokens, now, taken = Tokens(3, SECOND, 1), 0, 0
    while now <= 1_000 * SECOND:
        if tokens.free(now) > 0:
            tokens.take(now)
            taken += 1
        opens = tokens.opens_at()
        assert opens is not None
        now = opens
    assert 2_999 <= taken <= 3_001


def test_a_new_share_brings_no_token_and_takes_none_that_it_has_room_for() -> None:
    tokens = Tokens(10, SECOND, 4)
    for _ in range(3):
        tokens.take(0)
    tokens.shared(Share(2, 0), 0)
    assert (tokens.free(0), tokens.free(SECOND // 5 - 1), tokens.free(SECOND // 5), tokens.free(SECOND)) == (1, 1, 2, 2)
    tokens.shared(Share(), SECOND)
    assert (tokens.free(SECOND), tokens.free(SECOND + SECOND // 10), tokens.free(2 * SECOND)) == (2, 3, 4)


@given(
    st.integers(1, 50),
    st.integers(1, 10),
    st.lists(st.integers(0, 3 * SECOND), min_size=1, max_size=200),
    st.integers(1, 4),
)
def test_in_any_time_no_more_begin_than_the_burst_and_the_rate_give(
    most: int, burst: int, gaps: list[int], workers: int
) -> None:
    pools = [Tokens(most, SECOND, burst, Share(workers, place)) for place in range(workers)]
    now, began = 0, list[int]()
    for gap in gaps:
        now += gap
        for tokens in pools:
            while tokens.free(now) > 0:
                tokens.take(now)
                began.append(now)
    for first, start in enumerate(began):
        for last in range(first, len(began)):
            most_in_time = max(burst, workers) + most * (began[last] - start) / SECOND
            assert last - first + 1 <= most_in_time + 1e-6
