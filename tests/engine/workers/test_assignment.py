"""Who should own what: everybody computes the same, evenly, with few moves."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagakit.core.cluster.members import Worker
from sagakit.core.streams import PARTITIONS
from sagakit.engine.workers.owning.assignment import share_of, shared_out

NAMES = st.lists(st.text("abcdefgh0123456789-/", min_size=1, max_size=8), min_size=1, max_size=16, unique=True)


def owners(names: list[str]) -> dict[int, str]:
    return {partition: name for name, share in shared_out(tuple(sorted(names))).items() for partition in share}


@given(NAMES)
def test_every_partition_has_one_owner_and_shares_are_even(names: list[str]) -> None:
    shares = shared_out(tuple(sorted(names)))
    assert sorted(partition for share in shares.values() for partition in share) == list(range(PARTITIONS))
    sizes = {len(share) for share in shares.values()}
    assert max(sizes) - min(sizes) <= 1


@given(NAMES, st.integers())
def test_the_order_in_which_workers_are_seen_does_not_matter(names: list[str], seed: int) -> None:
    workers = [Worker(str(number), name, declares=("x#1", "y#1")) for number, name in enumerate(names)]
    shuffled = workers[:]
    random.Random(seed).shuffle(shuffled)
    for worker in workers:
        assert share_of(worker.id, workers) == share_of(worker.id, shuffled)


def moved(names: list[str]) -> int:
    """How many partitions have another owner when one more worker joins."""
    before, after = owners(names), owners([*names, "one more"])
    return sum(before[partition] != after[partition] for partition in range(PARTITIONS))


@given(NAMES)
def test_hardly_more_moves_than_has_to(names: list[str]) -> None:
    fair = PARTITIONS / (len(names) + 1)
    assert moved(names) <= min(2 * fair + 12, fair + 40), "a bounded share moves for the bound on loads"


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 8, 12, 16, 24, 32])
def test_what_evenness_costs_does_not_grow_with_the_share(count: int) -> None:
    """Beyond the share of who joins: shares that differ by one at most push others' partitions along."""
    fair = PARTITIONS / (count + 1)
    moves = [moved([f"host-{draw}/{number}" for number in range(count)]) for draw in range(6)]
    assert max(moves) <= fair + 26
    assert sum(moves) / len(moves) <= fair + 19


@given(NAMES, st.data())
def test_each_consumer_is_shared_out_among_those_that_declare_it(names: list[str], data: st.DataObject) -> None:
    consumers = ["a", "b", "c"]
    workers = [
        Worker(str(number), name, declares=tuple(f"{one}#3" for one in data.draw(st.sets(st.sampled_from(consumers)))))
        for number, name in enumerate(names)
    ]
    shares = {worker.id: share_of(worker.id, workers) for worker in workers}
    for consumer in consumers:
        declaring = [worker.id for worker in workers if f"{consumer}#3" in worker.declares]
        owned = [partition for id in declaring for partition in shares[id].get(consumer, ())]
        assert sorted(owned) == (list(range(PARTITIONS)) if declaring else [])
    for worker in workers:
        assert set(shares[worker.id]) <= {one.partition("#")[0] for one in worker.declares}


def test_consumers_that_the_same_workers_declare_are_at_home_together() -> None:
    workers = [Worker(name, name, declares=("saga#1", "handler#7")) for name in ("a", "b", "c")]
    share = share_of("a", workers)
    assert share["saga"] == share["handler"]


def test_who_knows_most_of_a_consumer_owns_it() -> None:
    old, new = Worker("o", "old", declares=("x#2", "y#1")), Worker("n", "new", declares=("x#3", "y#1"))
    assert len(share_of("n", [old, new])["x"]) == PARTITIONS
    assert "x" not in share_of("o", [old, new])
    assert len(share_of("o", [old, new])["y"]) == PARTITIONS // 2


def test_one_that_comes_back_under_its_name_has_what_it_had() -> None:
    others = [Worker("1", "one", declares=("x#1",)), Worker("2", "two", declares=("x#1",))]
    before = share_of("3", [*others, Worker("3", "three", declares=("x#1",))])
    after = share_of("4", [*others, Worker("4", "three", declares=("x#1",))])
    assert before == after


def test_two_of_one_name_are_told_apart() -> None:
    twins = [Worker("1", "twin", declares=("x#1",)), Worker("2", "twin", declares=("x#1",))]
    assert not share_of("1", twins)["x"] & share_of("2", twins)["x"]


def test_whoever_is_not_there_has_nothing() -> None:
    assert share_of("nobody", [Worker("1", "one", declares=("x#1",))]) == {}
    assert share_of("nobody", []) == {}
