"""Admission: within every limit, in turns, and whoever waits begins as soon as all limits let it."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sagakit.core.limiting import admission
from sagakit.core.limiting.admission import Admission, Gate, Ticket
from sagakit.core.limiting.limits import AtOnce, Limiting, Rate
from sagakit.core.limiting.pools import Share
from sagakit.core.limiting.turns import Group

SECOND = 1_000_000


def whole(limit: AtOnce | Rate) -> Limiting:
    return Limiting(limit, None)


def each(limit: AtOnce | Rate) -> Limiting:
    return Limiting(limit, str)


class World:
    """One consumer under limits, with a clock."""

    def __init__(self, *limits: Limiting) -> None:
        self.limits = limits
        self.now = 0
        self.due: list[tuple[int, Gate]] = []
        self.admission = Admission(lambda gate, at: self.due.append((at, gate)))
        self.running: list[Ticket] = []
        self.begun: list[tuple[int, str | None]] = []

    def ask(self, value: str | None = None, owner: str = "p") -> Ticket:
        values = [None if one.key is None else value for one in self.limits]
        gates = self.admission.gates("c", self.limits, values, self.now)
        ticket = Ticket(gates, Group(owner, value or ""), value, self.now)
        if self.admission.ask(ticket, self.now):
            self._begin([ticket])
        return ticket

    def leave(self, ticket: Ticket) -> None:
        if ticket in self.running:
            self.running.remove(ticket)
        self._begin(self.admission.leave(ticket, self.now))

    def pass_time(self, until: int) -> None:
        while (due := min((at for at, _ in self.due), default=until + 1)) <= until:
            self.now = max(self.now, due)
            gates = [gate for at, gate in self.due if at == due]
            self.due = [one for one in self.due if one[0] != due]
            for gate in gates:
                self._begin(self.admission.open(gate, self.now))
        self.now = max(self.now, until)

    def _begin(self, called: list[Ticket]) -> None:
        for ticket in called:
            assert ticket.held
            self.running.append(ticket)
            self.begun.append((self.now, ticket.subject))

    @property
    def values(self) -> list[Any]:
        return [ticket.subject for ticket in self.running]


def test_a_newcomer_does_not_overtake_those_that_wait() -> None:
    world = World(whole(AtOnce(1)))
    first, second = world.ask("1"), world.ask("2")
    world.leave(first)
    assert world.values == ["2"]
    third = world.ask("3")
    world.leave(second)
    assert world.running == [third]


def test_what_waits_for_two_limits_holds_neither() -> None:
    world = World(each(AtOnce(1)), whole(AtOnce(2)))
    a, b = world.ask("a"), world.ask("b")
    world.ask("a")
    world.ask("c")  # the whole is full
    assert world.values == ["a", "b"]
    world.leave(b)
    assert world.values == ["a", "c"]
    world.leave(a)
    assert world.values == ["c", "a"]


def test_owners_take_turns_and_the_values_of_one_owner_too() -> None:
    world = World(whole(AtOnce(1)))
    world.ask("first")
    for number in range(100):
        world.ask(f"x{number}", "noisy")
    world.ask("quiet", "quiet")
    for _ in range(3):
        world.leave(world.running[0])
    assert [value for _, value in world.begun] == ["first", "x0", "quiet", "x1"]


def test_what_does_not_wait_any_more_lets_the_next_one_through() -> None:
    world = World(each(AtOnce(2)), whole(AtOnce(1)))
    running = world.ask("a")
    waiting = [world.ask("a") for _ in range(3)]
    world.leave(waiting[0])
    world.leave(running)
    assert world.running == [waiting[1]]
    assert world.admission.waiting == {"c": 1}


def test_a_limit_that_nobody_uses_any_more_is_forgotten(monkeypatch: Any) -> None:
    monkeypatch.setattr(admission, "SWEEP", 10)
    world = World(each(AtOnce(1)), each(Rate(1, per=1)))
    world.admission._sweep_at = 10
    for number in range(1_000):
        world.pass_time(world.now + SECOND)
        world.leave(world.ask(f"{number}"))
    assert len(world.admission._gates) <= 24


def test_a_greater_share_lets_more_through_at_once_and_a_smaller_one_waits_for_what_runs() -> None:
    world = World(whole(AtOnce(4)))
    world._begin(world.admission.share({"c": Share(2, 0)}, 0))
    tickets = [world.ask(f"{number}") for number in range(6)]
    assert world.values == ["0", "1"]
    world._begin(world.admission.share({"c": Share()}, 0))
    assert world.values == ["0", "1", "2", "3"]
    world._begin(world.admission.share({"c": Share(2, 0)}, 0))
    for ticket in tickets[:2]:
        world.leave(ticket)
    assert world.values == ["2", "3"]
    world.leave(tickets[2])
    assert world.values == ["3", "4"]


LIMITS = st.lists(
    st.one_of(
        st.builds(lambda most: whole(AtOnce(most)), st.integers(1, 4)),
        st.builds(lambda most: each(AtOnce(most, key="k")), st.integers(1, 3)),
        st.builds(lambda most, burst: whole(Rate(most, per=1, burst=burst)), st.integers(1, 5), st.integers(1, 3)),
        st.builds(lambda most, burst: each(Rate(most, per=1, burst=burst)), st.integers(1, 5), st.integers(1, 3)),
    ),
    min_size=1,
    max_size=3,
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.sampled_from(["a", "b", "c", None])),
        st.tuples(st.just("end"), st.integers(0, 10)),
        st.tuples(st.just("give up"), st.integers(0, 10)),
        st.tuples(st.just("pass"), st.integers(1, SECOND)),
        st.tuples(st.just("share"), st.integers(1, 3)),
    ),
    max_size=60,
)


def within(world: World, limits: list[Limiting]) -> bool:
    """Whether no more run at once than each limit lets."""
    for limiting in limits:
        for value in {"a", "b", "c"} if limiting.key else {None}:
            counted = [one for one in world.values if limiting.key is None or one == value]
            if isinstance(limiting.limit, AtOnce) and len(counted) > limiting.limit.most:
                return False
    return True


def finished(world: World) -> int:
    """How many have begun once all have ended and time has passed."""
    world._begin(world.admission.share({}, world.now))
    while world.running or world.admission.waiting:
        while world.running:
            world.leave(world.running[0])
        assert world.due or not world.admission.waiting
        world.pass_time(max(world.now, min((at for at, _ in world.due), default=0)))
    return len(world.begun)


@settings(max_examples=300, deadline=None)
@given(LIMITS, STEPS)
def test_no_limit_is_passed_nothing_waits_without_need_and_all_begin_in_the_end(
    limits: list[Limiting], steps: list[tuple[str, Any]]
) -> None:
    world, asked, gone, shared = World(*limits), 0, 0, False
    for step, drawn in steps:
        waiting = list(world.admission.tickets())
        if step == "ask":
            world.ask(drawn)
            asked += 1
        elif step == "end" and world.running:
            world.leave(world.running[drawn % len(world.running)])
        elif step == "give up" and waiting:
            world.leave(waiting[drawn % len(waiting)])
            gone += 1
        elif step == "pass":
            world.pass_time(world.now + drawn)
        elif step == "share":
            world._begin(world.admission.share({"c": Share(drawn, 0)}, world.now))
            shared = True
        world.pass_time(world.now)
        assert shared or within(world, limits)
        waiting = list(world.admission.tickets())
        assert len(waiting) == sum(world.admission.waiting.values())
        for ticket in waiting:  # each of them has a limit that lets it not begin
            assert any(gate.pool.free(world.now) <= 0 for gate in ticket.gates)
    assert finished(world) == asked - gone
