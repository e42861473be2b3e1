"""Runs: what has to wait for the end of a handler waits, and goes on then."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sagakit.core.commit import Envelope
from sagakit.engine.handlers.runs import Runs


def message(id: str, undoes: str | None = None) -> Envelope:
    return Envelope(id, "command", "t.Ask", b"{}", "c", 0, undoes=undoes)


class Held:
    def __init__(self, runs: Runs) -> None:
        self.runs = runs
        self.gone_on: list[str] = []

    def hold(self, envelope: Envelope) -> bool:
        return self.runs.hold(envelope, lambda: self.gone_on.append(envelope.id))


@pytest.fixture
def runs() -> Runs:
    return Runs()


@pytest.fixture
def held(runs: Runs) -> Held:
    return Held(runs)


def test_nothing_is_held_while_nothing_runs(runs: Runs, held: Held) -> None:
    assert not runs
    assert not held.hold(message("undo", undoes="do"))


def test_an_undo_waits_for_its_do(runs: Runs, held: Held) -> None:
    runs.begin(message("do"))
    runs.begin(message("other"))
    assert held.hold(message("undo", undoes="do"))
    runs.end("other")
    assert held.gone_on == []
    runs.end("do")
    assert held.gone_on == ["undo"]
    assert not runs


def test_another_attempt_waits_for_the_one_before(runs: Runs, held: Held) -> None:
    runs.begin(message("do"))
    assert held.hold(message("do"))
    runs.end("do")
    assert held.gone_on == ["do"]


def test_a_second_undo_waits_for_the_first(runs: Runs, held: Held) -> None:
    runs.begin(message("undo-1", undoes="do"))
    assert held.hold(message("undo-2", undoes="do"))
    assert not held.hold(message("undo of another", undoes="other"))
    runs.end("undo-1")
    assert held.gone_on == ["undo-2"]
    assert not held.hold(message("undo-2", undoes="do"))


def test_the_undo_of_a_whole_process_waits_for_nothing(runs: Runs, held: Held) -> None:
    runs.begin(message("undo-1", undoes=""))
    assert not held.hold(message("undo-2", undoes=""))


def test_what_does_not_run_cannot_be_withdrawn(runs: Runs) -> None:
    assert not runs.withdraw("do")


def test_a_withdrawn_run_is_cancelled_where_it_can_be(runs: Runs) -> None:
    run = runs.begin(message("do"))
    cancelled: list[str] = []
    run.cancel = lambda: cancelled.append("do")
    assert runs.withdraw("do")
    assert (cancelled, run.withdrawn, run.cancelled) == (["do"], True, True)


def test_a_withdrawn_run_that_cannot_be_cancelled_ends_by_itself(runs: Runs, held: Held) -> None:
    run = runs.begin(message("do"))
    assert runs.withdraw("do")
    assert (run.withdrawn, run.cancelled) == (True, False)
    assert held.hold(message("undo", undoes="do"))


async def test_what_is_left_behind_ends_with_its_future(runs: Runs, held: Held) -> None:
    run = runs.begin(message("do"))
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    runs.leave_behind("do", run, future)
    assert not runs.withdraw("do")  # nobody waits for its end who could take its delivery out
    assert held.hold(message("undo", undoes="do"))
    future.set_exception(ConnectionError("nobody asks any more"))
    await asyncio.sleep(0)
    assert held.gone_on == ["undo"]


async def test_waits_until_nothing_runs(runs: Runs) -> None:
    assert await runs.over(0.0)
    runs.begin(message("do"))
    assert not await runs.over(0.0)
    waiting = asyncio.create_task(runs.over(10.0))
    await asyncio.sleep(0)
    runs.end("do")
    assert await waiting
