"""A batch with a crash at every commit, everything doubled, and in other orders: it comes to the same end."""

from __future__ import annotations

from tests.engine.house import Group, House, moving

from sagakit.testing import Trial, crash_everywhere


def house() -> House:
    """One is refused, and one breaks the lift."""
    one = House()
    one.refuses, one.breaks = frozenset({2}), frozenset({4})
    return one


def refusing() -> House:
    one = House()
    one.refuses = frozenset({4})
    return one


@crash_everywhere(moving(at_once=2, undo=True), provide=lambda: {House: house()})
async def test_what_failed_is_left_out(trial: Trial) -> str:
    await trial.send(Group("g", 6))
    await trial.finish()
    return await trial.status("t.move_group", "g")


@crash_everywhere(moving(at_once=1, undo=True), provide=lambda: {House: refusing()})
async def test_a_stopped_batch_is_undone(trial: Trial) -> str:
    await trial.send(Group("g", 9, stop_at=1))
    await trial.finish()
    return await trial.status("t.move_group", "g")


@crash_everywhere(moving(at_once=3, undo=True), provide=lambda: {House: refusing()})
async def test_one_that_fails_among_others(trial: Trial) -> str:
    await trial.send(Group("g", 6))
    await trial.finish()
    return await trial.status("t.move_group", "g")
