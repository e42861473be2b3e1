"""Limits hold for all workers together: shared out among those who have something of a handler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from tests.engine.stage import Ask, Stage, Told
from tests.engine.workers.crew import Crew, crew

from sagakit import App, AtOnce, Rate, Retry, Saga
from sagakit.core.limiting.pools import Share
from sagakit.core.streams import lane_name
from sagakit.engine.limits import Limits
from sagakit.engine.workers.owning.assignment import declaration, limits_of, share_of

RETRY = Retry(3, first=1.0, factor=2.0, jitter=0.0)


@dataclass(frozen=True)
class Begun:
    key: str
    tenant: str


@dataclass(frozen=True)
class Charge:
    key: str
    tenant: str


@dataclass(frozen=True)
class Charged:
    key: str


def limited(**limits: Any) -> App:
    app = App("t")

    @app.handles(key="key", retry=RETRY, **limits)
    async def ask(command: Ask, stage: Stage) -> Told:
        return await stage.play(command)

    return app


def charging(**limits: Any) -> App:
    """Instances all over the workers, each with one step at a handler without a key."""
    app = App("t")

    @app.handles(retry=RETRY, **limits)
    async def charge(command: Charge, stage: Stage) -> Charged:
        await stage.play(Ask(command.tenant, int(command.key)))
        return Charged(command.key)

    @app.saga(key="key")
    async def order(begun: Begun, saga: Saga) -> None:
        await saga.do(Charge(begun.key, begun.tenant), then=Charged)

    return app


async def send_to_each(made: Crew, each: int) -> list[Ask]:
    """So many commands for lanes of each worker."""
    asks: list[Ask] = []
    left = dict.fromkeys(made.engines, each)
    number = 0
    while any(left.values()):
        number += 1
        owner = made.owner("t.ask", lane_name("t.ask", f"k{number}"))
        if left[owner]:
            left[owner] -= 1
            asks.append(Ask(f"k{number}"))
    return asks


@pytest.mark.parametrize("most", [4, 5, 7])
async def test_the_parts_of_all_workers_are_the_limit(most: int) -> None:
    stage = Stage()
    async with crew(limited(at_once=most), "a", "b", "c", provide={Stage: stage}) as made:
        asks = await send_to_each(made, 5)
        stage.closes(*asks)
        for one in asks:
            await made.engines["a"].send(one)
        await made.rest()
        assert len(stage.now) == most
        stage.opens(*asks)
        await made.settle()
        assert (len(stage.ended), stage.most) == (15, most)


async def test_of_a_limit_smaller_than_the_workers_so_many_have_the_handler() -> None:
    stage = Stage()
    async with crew(limited(at_once=1), "a", "b", "c", provide={Stage: stage}) as made:
        assert sorted(len(made.owned(name).get("t.ask", ())) for name in "abc") == [0, 0, 256]
        asks = [Ask(f"k{number}") for number in range(20)]
        stage.closes(*asks)
        for one in asks:
            await made.engines["a"].send(one)
        await made.rest()
        assert len(stage.now) == 1
        stage.opens(*asks)
        await made.settle()
        assert (len(stage.ended), stage.most) == (20, 1)


async def test_all_of_a_value_is_with_one_worker_and_under_its_whole_limit() -> None:
    stage = Stage()
    async with crew(charging(at_once=AtOnce(2, key="tenant")), "a", "b", "c", provide={Stage: stage}) as made:
        asks = [Ask(tenant, number) for number, tenant in enumerate(["x", "y", "z"] * 8)]
        stage.closes(*asks)
        for one in asks:
            await made.engines["a"].publish(Begun(f"{one.number}", one.key))
        await made.rest()
        assert sorted(one.key for one in stage.now) == ["x", "x", "y", "y", "z", "z"]
        stage.opens(*asks)
        await made.settle()
        assert (len(stage.ended), stage.most) == (24, 6)


async def test_a_rate_is_that_of_all_workers_together() -> None:
    stage = Stage()
    async with crew(limited(rate=Rate(6, per=1)), "a", "b", "c", provide={Stage: stage}) as made:
        asks = await send_to_each(made, 10)
        for one in asks:
            await made.engines["a"].send(one)
        await made.rest()
        assert len(stage.began) == 3  # the first token of each
        await made.advance(2)
        assert len(stage.began) == 3 + 12


async def test_who_does_not_have_it_says_that_it_may_wait_for_a_limit() -> None:
    stage = Stage()
    async with crew(limited(at_once=1), "a", "b", provide={Stage: stage}) as made:
        (owner,) = {made.owner("t.ask", lane_name("t.ask", f"k{number}")) for number in range(9)}
        (other,) = set(made.engines) - {owner}
        stage.closes(Ask("k0"), Ask("k1"))
        for key in ("k0", "k1"):
            await made.engines["a"].send(Ask(key))
        await made.rest()
        waiting = (await made.engines["a"].store.read_deliveries())[-1]
        _, here = await made.engines[owner].operator.explain_delivery(waiting.id)
        assert here.situation == "waiting_for_limit"
        _, there = await made.engines[other].operator.explain_delivery(waiting.id)
        assert there.situation == "under_way"
        assert there.why == (
            "it is to be handled by t.ask at another worker, or waits for its limit (at most 1 at once): "
            "only that worker knows"
        )
        stage.opens(Ask("k0"), Ask("k1"))
        await made.settle()


async def test_who_joins_gets_a_part_and_the_others_begin_nothing_past_theirs() -> None:
    stage = Stage()
    limits = Limits(stop_within=1.0, hand_over_within=1.0)
    async with crew(limited(at_once=4), "a", provide={Stage: stage}, limits=limits) as made:
        asks = [Ask(f"k{number}") for number in range(30)]
        stage.closes(*asks)
        for one in asks:
            await made.engines["a"].send(one)
        await made.rest()
        running = set(stage.now)
        assert len(running) == 4
        await made.join("b")
        stage.opens(*running)
        await made.rest()
        assert len(stage.now) <= 4
        while stage.now:
            stage.opens(*stage.now)
            await made.rest()
            assert len(stage.now) <= 4
        await made.settle()
        assert {one.key for one in stage.ended} == {one.key for one in asks}


async def test_the_part_of_one_that_has_crashed_goes_to_the_others() -> None:
    stage = Stage()
    async with crew(limited(at_once=4), "a", "b", provide={Stage: stage}) as made:
        asks = await send_to_each(made, 6)
        stage.closes(*asks)
        for one in asks:
            await made.engines["a"].send(one)
        await made.rest()
        assert len(stage.now) == 4
        mine = {one for one in stage.now if made.owner("t.ask", lane_name("t.ask", one.key)) == "a"}
        assert len(mine) == 2
        await made.crash("b")
        await made.rest()
        assert (len(stage.now), len(mine & stage.now)) == (4, 2)
        stage.opens(*asks)
        await made.finish()
        assert {one.key for one in stage.ended} >= {one.key for one in asks}


def worker(name: str, *declares: str) -> Any:
    from sagakit.core.cluster.members import Worker

    return Worker(name, name, declares=declares)


def test_no_more_workers_own_a_handler_than_run_at_once() -> None:
    workers = [worker(name, declaration("m.charge", 3, 2), declaration("m.other", 3, None)) for name in "abcde"]
    owners = [one.id for one in workers if "m.charge" in share_of(one.id, workers)]
    assert len(owners) == 2
    assert all("m.other" in share_of(one.id, workers) for one in workers)
    shares = {one.id: limits_of(one.id, workers, ["m.charge"])["m.charge"] for one in workers}
    assert sorted(shares[one].place for one in owners) == [0, 1]
    assert [share for one, share in shares.items() if one not in owners] == [Share(0)] * 3
    without = [one for one in workers if one.id != owners[0]]
    assert "m.charge" in share_of(owners[1], without)  # who had it keeps it


def test_a_newer_limit_counts_where_newer_code_has_the_handler() -> None:
    workers = [worker("a", "m.charge#3@1"), worker("b", "m.charge#4@5"), worker("c", "m.charge#4@5")]
    assert [one.id for one in workers if "m.charge" in share_of(one.id, workers)] == ["b", "c"]
