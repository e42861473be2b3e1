"""Giving commands up: their deliveries go with the Commit that decides it, their runs are cancelled once it stands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

from sagakit.core.cluster.members import WITHDRAW
from sagakit.core.commit import Delivery
from sagakit.engine.draft import Draft
from sagakit.engine.handlers.runs import Runs
from sagakit.engine.lanes.lanes import Lanes


class Withdrawing:
    """Takes commands back that a process gave up."""

    def __init__(self, lanes: Lanes, runs: Runs) -> None:
        self._lanes = lanes
        self._runs = runs
        self.find_unread: Callable[[str], Awaitable[int | None]] | None = None
        """Finds the delivery of a command in the store, while some are not in memory."""

    async def decide(self, draft: Draft, command_id: str) -> None:
        """A reaction gives up a command: its delivery goes with the same Commit."""
        commit = draft.commit
        for delivery in commit.deliveries:
            if delivery.envelope.id == command_id:  # sent and given up in one Commit: it never was
                commit.deliveries.remove(delivery)
                return
        found = [delivery.id for delivery in self._in_memory(command_id)]
        if not found and self.find_unread is not None:
            unread = await self.find_unread(command_id)
            found = [] if unread is None else [unread]
        commit.withdrawn.extend(found)
        draft.withdrawn.append(command_id)

    def find(self, command_id: str) -> Delivery | None:
        """The delivery of a command, if it is in memory."""
        return next((one for one in self._in_memory(command_id) if one.consumer != WITHDRAW), None)

    def _in_memory(self, command_id: str) -> Iterator[Delivery]:
        for lane in self._lanes.holding(command_id):
            yield from (delivery for delivery in lane.queue if delivery.envelope.id == command_id)

    def carry_out(self, draft: Draft) -> None:
        """The Commit stands: cancel the runs of what it gave up, or take it out of its lane."""
        for command_id in draft.withdrawn:
            if not self._runs.withdraw(command_id):  # else its handler takes it out of the lane when it has ended
                for lane in self._lanes.holding(command_id):
                    self._lanes.take_out(lane, command_id)
