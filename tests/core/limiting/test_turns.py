"""Turns: in order within a group, by turns between groups."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sagakit.core.limiting.turns import Group, Turns


def drained(turns: Turns[str]) -> list[str]:
    return [turns.pop() for _ in range(len(turns))]


def test_a_group_is_served_in_order() -> None:
    turns = Turns[str]()
    for item in "abc":
        turns.push(Group("p"), item)
    assert (len(turns), drained(turns), len(turns)) == (3, ["a", "b", "c"], 0)


def test_one_group_however_long_delays_another_by_a_turn() -> None:
    turns = Turns[str]()
    for number in range(1_000):
        turns.push(Group("noisy"), f"n{number}")
    assert turns.pop() == "n0"
    turns.push(Group("quiet"), "q")
    assert [turns.pop(), turns.pop(), turns.pop()] == ["n1", "q", "n2"]


def test_parts_take_turns_within_the_turn_of_their_owner() -> None:
    turns = Turns[str]()
    for number in range(3):
        for part in "xyz":
            turns.push(Group("many", part), f"{part}{number}")
    turns.push(Group("one"), "a")
    turns.push(Group("one"), "b")
    assert drained(turns) == ["x0", "a", "y0", "b", "z0", "x1", "y1", "z1", "x2", "y2", "z2"]


def test_what_does_not_wait_any_more_has_no_turn() -> None:
    turns = Turns[str]()
    turns.push(Group("p", "x"), "a")
    turns.push(Group("p", "x"), "b")
    turns.push(Group("q"), "c")
    turns.discard(Group("p", "x"), "a")
    turns.discard(Group("q"), "c")
    assert (list(turns), drained(turns)) == (["b"], ["b"])


@given(st.lists(st.tuples(st.sampled_from("pq"), st.sampled_from("xy")), max_size=60))
def test_nothing_is_lost_and_between_two_of_a_group_every_other_has_a_turn(groups: list[tuple[str, str]]) -> None:
    turns = Turns[tuple[str, int]]()
    for number, (owner, part) in enumerate(groups):
        turns.push(Group(owner, part), (owner, number))
    left = [owner for owner, _ in groups]
    seen: list[tuple[str, int]] = []
    while len(turns):
        owner, number = turns.pop()
        if seen and seen[-1][0] == owner:  # the others have nothing left
            assert set(left) == {owner}
        left.remove(owner)
        seen.append((owner, number))
    assert sorted(number for _, number in seen) == list(range(len(groups)))
    for group in set(groups):
        own = [number for number in (number for _, number in seen) if groups[number] == group]
        assert own == sorted(own)
