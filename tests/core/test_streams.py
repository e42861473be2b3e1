"""The names of streams and lanes: stored, so they never change."""

from __future__ import annotations

from collections import Counter

from sagakit.core.streams import PARTITIONS, instance_id, lane_name, partition, stream_name


def test_names_are_made_of_type_and_key() -> None:
    assert stream_name("shop.Order", "o-1") == lane_name("shop.Order", "o-1") == "shop.Order/o-1"


def test_names_are_the_same_for_ever() -> None:
    assert instance_id("shop.fulfil", "o-1") == "ad2994c404f91b1c862afe7aa17b1fd2"
    assert partition("shop.fulfil/o-1") == 155


def test_partitions_are_used_evenly() -> None:
    used = Counter(partition(f"shop.Order/{number}") for number in range(PARTITIONS * 100))
    assert set(used) == set(range(PARTITIONS))
    assert max(used.values()) < 200
