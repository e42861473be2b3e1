"""Faults in what several engines on one store share: leases, arrivals, handovers, withdrawals, subscriptions."""

from __future__ import annotations

from typing import Any

from sagakit.core.cluster.members import Owned
from sagakit.core.commit import Delivery
from sagakit.engine.lanes.lane import Lane
from sagakit.engine.workers.owning.handover import Handover
from sagakit.engine.workers.owning.ownership import Home
from sagakit.testing.simulation.broken.planting import Broken, nothing


def the_fence_of_a_worker_is_not_checked(check: Any) -> Any:
    return nothing


def arrivals_that_came_late_are_missed(read: Any) -> Any:
    async def above_the_highest(self: Any, owned: Owned) -> list[Delivery]:
        highest: int = getattr(self, "highest", 0)
        found: list[Delivery] = await read(self, owned)
        self.highest = max([highest, *(delivery.id for delivery in found)])
        return [delivery for delivery in found if delivery.id > highest]

    return above_the_highest


def what_no_notice_has_told_is_not_looked_for(poll: Any) -> Any:
    return nothing


def a_partition_is_given_away_before_what_runs_has_ended(leave: Any) -> Any:
    def leave_all(self: Handover, lanes: dict[Lane, Home]) -> dict[Lane, Home]:
        for lane in lanes:
            self.leave_lane(lane)
        return {}

    return leave_all


def an_undo_does_not_wait_for_its_do_elsewhere(holds: Any) -> Any:
    async def never(*_: object) -> bool:
        return False

    return never


def what_was_routed_before_a_subscription_is_accepted(stale: Any) -> Any:
    return nothing


def a_door_does_not_look_for_what_others_took_before(catch_up: Any) -> Any:
    async def at_once(*_: object) -> None:
        pass

    return at_once


SHARING = (
    Broken(2, "sagakit.stores.memory.cluster:MemoryCluster.check", the_fence_of_a_worker_is_not_checked),
    Broken(1, "sagakit.stores.memory.cluster:MemoryCluster.read_arrivals", arrivals_that_came_late_are_missed),
    Broken(5, "sagakit.engine.workers.team:Team._poll", what_no_notice_has_told_is_not_looked_for),
    Broken(
        4,
        "sagakit.engine.workers.owning.handover:Handover._leave_free",
        a_partition_is_given_away_before_what_runs_has_ended,
    ),
    Broken(
        6,
        "sagakit.engine.workers.across.withdrawals:SharedWithdrawing.holds",
        an_undo_does_not_wait_for_its_do_elsewhere,
    ),
    Broken(1, "sagakit.stores.memory.cluster:MemoryCluster.stale", what_was_routed_before_a_subscription_is_accepted),
    Broken(
        4,
        "sagakit.engine.workers.across.catching_up:CatchingUp.catch_up",
        a_door_does_not_look_for_what_others_took_before,
    ),
)
