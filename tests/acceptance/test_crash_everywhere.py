"""The order process with a fault at every operation on its store: the end is the one that it has without a fault."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.acceptance.orders.processes import WAYS
from tests.acceptance.orders.running import EACH_OF, End, end_of, places, run_order
from tests.acceptance.orders.world import Reply, World
from tests.each_store import Stores

from sagakit.testing.faults import At, Fault

pytestmark = pytest.mark.timeout(180)

Script = dict[str, Reply | tuple[Reply, ...]]

SCRIPTS: dict[str, Script] = {
    "success": {},
    "refusal": {"ship": "refused"},
    "unknown outcome": {"charge": "broken after"},
    "failed undo": {"ship": "refused", "refund": "broken"},
    "another attempt": {"charge": ("lost", "fails", "done")},
}
CRASHES = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER)
FAILURES = (Fault.ANSWER_LOST, Fault.COMMIT_LOST, Fault.FAILED)
CHANGES: dict[str, tuple[Reply, Reply]] = {
    "refuses then": ("done", "refused"),
    "succeeds then": ("refused", "done"),
    "says more then": ("done", "noted"),
    "says less then": ("noted", "done"),
    "says nothing then": ("done", "nothing"),
    "breaks then": ("done", "broken"),
}


class Runs:
    """Runs one script on fresh stores, with and without faults."""

    def __init__(self, way: str, stores: Stores, script: Script) -> None:
        self._way, self._stores, self._script = way, stores, script

    async def run(self, *faults: At) -> tuple[End, World, list[str]]:
        fresh, world = self._stores.new(), World(**self._script)
        store = await run_order(self._way, fresh.again, world, *faults)
        end = await end_of(fresh.again, world)
        await self._stores.discard(fresh)
        return end, world, store.operations

    async def places(self, fault: Fault) -> list[tuple[int, str | None]]:
        """Where this fault strikes."""
        _, _, operations = await self.run()
        return places(self._stores.kind, operations, f"{self._way} {self._script} {fault.name}")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("script", SCRIPTS)
async def test_a_crash_anywhere_changes_nothing(way: str, script: str, each_store: Stores) -> None:
    runs = Runs(way, each_store, SCRIPTS[script])
    expected, without, _ = await runs.run()
    for fault in CRASHES:
        for number, operation in await runs.places(fault):
            end, world, _ = await runs.run(At(number, fault, operation))
            assert end == expected, f"{fault.name} at operation {number}"
            assert world.applied == without.applied, f"{fault.name} at operation {number}"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("script", SCRIPTS)
async def test_a_failure_of_the_store_changes_nothing(way: str, script: str, each_store: Stores) -> None:
    runs = Runs(way, each_store, SCRIPTS[script])
    expected, without, _ = await runs.run()
    for fault in FAILURES:
        for number, operation in await runs.places(fault):
            end, world, _ = await runs.run(At(number, fault, operation))
            assert end == expected, f"{fault.name} at operation {number}"
            # it is nobody's attempt: no handler has run once more for it
            assert sorted(world.calls.values()) == sorted(without.calls.values()), f"{fault.name} at {number}"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("change", CHANGES)
async def test_the_end_is_that_of_the_answer_that_was_committed(way: str, change: str, each_store: Stores) -> None:
    first, second = CHANGES[change]
    ends = [(await Runs(way, each_store, {"charge": reply}).run())[0] for reply in (first, second)]
    assert ends[0] != ends[1]
    runs = Runs(way, each_store, {"charge": (first, second)})
    seen = set[int]()
    for fault in (*CRASHES, Fault.ANSWER_LOST):
        for number, operation in await runs.places(fault):
            end, world, _ = await runs.run(At(number, fault, operation))
            answer = world.runs("charge")
            seen.add(answer)
            # what such a provider holds is its own affair: it has said two things
            assert replace(end, held=()) == replace(ends[answer - 1], held=()), f"{fault.name} at operation {number}"
    if each_store.kind != "postgresql" or EACH_OF == 1:  # else there not every place is tried
        assert seen == {1, 2}
