"""A saga in a saga in a saga, with a fault at every operation on the store: the end is the one without a fault."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from tests.acceptance.orders.running import places
from tests.acceptance.trips.agency import Agency, Reply
from tests.acceptance.trips.processes import STAYS, TRIPS, trips
from tests.acceptance.trips.running import End, end_of, run_trip
from tests.each_store import IN_MEMORY, Stores

from sagakit.testing.faults import At, Fault

pytestmark = pytest.mark.timeout(180)


@dataclass(frozen=True)
class Script:
    replies: dict[str, Reply | tuple[Reply, ...]] = field(default_factory=dict[str, Reply | tuple[Reply, ...]])
    cancel_at: str | None = None


SCRIPTS = {
    "success": Script(),
    "refused in the meal": Script({"hold_wine": "refused"}),
    "unknown in the stay": Script({"hold_key": "broken after"}),
    "refused after the stay": Script({"hold_bag": "refused"}),
    "an undo of the stay fails": Script({"hold_key": "refused", "drop_room": "broken"}),
    "another attempt in the meal": Script({"hold_table": ("fails", "done")}),
    "cancelled before the stay": Script(cancel_at="hold visa"),
    "cancelled in the stay": Script(cancel_at="hold room"),
    "cancelled in the meal": Script(cancel_at="hold wine"),
    "cancelled after the meal": Script(cancel_at="hold key"),
    "cancelled after the stay": Script(cancel_at="hold bag"),
}
DONE, UNDONE, FAILED_UNDO = "completed", "compensated", "compensation_failed"
LAST = {
    "success": [DONE, DONE, DONE],
    "refused in the meal": [UNDONE, UNDONE, UNDONE],
    "unknown in the stay": [UNDONE, UNDONE, DONE],
    "refused after the stay": [UNDONE, DONE, DONE],
    "an undo of the stay fails": ["running", FAILED_UNDO, DONE],
    "another attempt in the meal": [DONE, DONE, DONE],
    "cancelled before the stay": [UNDONE, "", ""],
    "cancelled in the stay": [UNDONE, UNDONE, ""],
    "cancelled in the meal": [UNDONE, UNDONE, UNDONE],
    "cancelled after the meal": [UNDONE, UNDONE, DONE],
    "cancelled after the stay": [UNDONE, DONE, DONE],
}
"""How the trip, the stay and the meal stand at the end."""
CRASHES = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER)
FAILURES = (Fault.ANSWER_LOST, Fault.COMMIT_LOST, Fault.FAILED)


class Runs:
    """Runs one script on fresh stores, with and without faults."""

    def __init__(self, stores: Stores, script: Script, *ways: str) -> None:
        self._stores, self._script = stores, script
        self._app = trips(*ways)

    async def run(self, *faults: At) -> tuple[End, Agency, list[str]]:
        fresh, agency = self._stores.new(), Agency(**self._script.replies)
        store = await run_trip(self._app, fresh.again, agency, *faults, cancel_at=self._script.cancel_at)
        end = await end_of(fresh.again, agency)
        await self._stores.discard(fresh)
        return end, agency, store.operations

    async def places(self, fault: Fault) -> list[tuple[int, str | None]]:
        """Where this fault strikes."""
        _, _, operations = await self.run()
        return places(self._stores.kind, operations, f"{self._script} {fault.name}")


async def hold_against_faults(script: str, runs: Runs, faults: Sequence[Fault]) -> None:
    expected, _, _ = await runs.run()
    for fault in faults:
        for number, operation in await runs.places(fault):
            at = f"{fault.name} at operation {number}"
            end, agency, _ = await runs.run(At(number, fault, operation))
            wanted = expected
            if fault in CRASHES and SCRIPTS[script].cancel_at:
                # what was under way at the crash is done before it is cancelled: the trip may have come one step on
                assert {status.partition(" ")[0] for status in end.statuses} <= {UNDONE, DONE, ""}, at
                end, wanted = (replace(one, statuses=one.statuses[:1]) for one in (end, expected))
            assert end == wanted, f"{at}: {end}"
            assert agency.in_order(), f"{at}: {agency.actions}"


@pytest.mark.parametrize("script", SCRIPTS)
async def test_a_fault_anywhere_changes_nothing(script: str, each_store: Stores) -> None:
    await hold_against_faults(script, Runs(each_store, SCRIPTS[script]), (*CRASHES, *FAILURES))


@pytest.mark.parametrize("way", ["steps", "manager"])
@pytest.mark.parametrize("script", SCRIPTS)
async def test_a_crash_anywhere_changes_nothing_in_any_way(script: str, way: str) -> None:
    await hold_against_faults(script, Runs(IN_MEMORY, SCRIPTS[script], way, way), CRASHES)


@pytest.mark.parametrize("trip", TRIPS)
@pytest.mark.parametrize("stay", STAYS)
@pytest.mark.parametrize(("script", "statuses"), LAST.items(), ids=list(LAST))
async def test_what_was_held_is_dropped_last_one_first(
    trip: str, stay: str, script: str, statuses: list[str], each_store: Stores
) -> None:
    end, agency, _ = await Runs(each_store, SCRIPTS[script], trip, stay).run()
    assert [status.partition(" ")[0] for status in end.statuses] == statuses
    assert agency.in_order(), agency.actions
