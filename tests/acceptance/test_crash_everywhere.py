"""The order process with a fault at every operation on its store: the end is the one that it has without a fault."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.acceptance.orders.processes import WAYS
from tests.acceptance.orders.running import End, end_of, run_order, stores
from tests.acceptance.orders.world import Reply, World

from sagakit.ports import Store
from sagakit.stores.sqlite import connection
from sagakit.testing.faults import At, Fault

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


@pytest.fixture(params=["memory", "sqlite"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    # these crashes are of the engine, not of the machine: what the disk does is tested with the store
    monkeypatch.setattr(connection, "SETTINGS", {**connection.SETTINGS, "synchronous": "off"})
    return request.param


class Runs:
    """Runs one script on fresh stores, with and without faults."""

    def __init__(self, way: str, kind: str, folder: Path, script: Script) -> None:
        self._way, self._kind, self._folder, self._script = way, kind, folder, script
        self._count = 0

    async def run(self, *faults: At) -> tuple[End, World, list[str]]:
        self._count += 1
        folder = self._folder / str(self._count)
        folder.mkdir()
        make_store: Callable[[], Store] = stores(self._kind, folder)
        world = World(**self._script)
        store = await run_order(self._way, make_store, world, *faults)
        return await end_of(make_store, world), world, store.operations

    async def places(self) -> list[tuple[int, str | None]]:
        """Where a fault may strike: every operation; on a disk, where the rest changes nothing, every commit."""
        _, _, operations = await self.run()
        if self._kind == "memory":
            return [(number, None) for number in range(1, len(operations) + 1)]
        return [(number, "commit") for number in range(1, operations.count("commit") + 1)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("script", SCRIPTS)
async def test_a_crash_anywhere_changes_nothing(way: str, script: str, kind: str, tmp_path: Path) -> None:
    runs = Runs(way, kind, tmp_path, SCRIPTS[script])
    expected, without, _ = await runs.run()
    for number, operation in await runs.places():
        for fault in CRASHES:
            end, world, _ = await runs.run(At(number, fault, operation))
            assert end == expected, f"{fault.name} at operation {number}"
            assert world.applied == without.applied, f"{fault.name} at operation {number}"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("script", SCRIPTS)
async def test_a_failure_of_the_store_changes_nothing(way: str, script: str, kind: str, tmp_path: Path) -> None:
    runs = Runs(way, kind, tmp_path, SCRIPTS[script])
    expected, without, _ = await runs.run()
    for number, operation in await runs.places():
        for fault in FAILURES:
            end, world, _ = await runs.run(At(number, fault, operation))
            assert end == expected, f"{fault.name} at operation {number}"
            # it is nobody's attempt: no handler has run once more for it
            assert sorted(world.calls.values()) == sorted(without.calls.values()), f"{fault.name} at {number}"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("change", CHANGES)
async def test_the_end_is_that_of_the_answer_that_was_committed(
    way: str, change: str, kind: str, tmp_path: Path
) -> None:
    first, second = CHANGES[change]
    ends = [(await Runs(way, "memory", _new(tmp_path), {"charge": reply}).run())[0] for reply in (first, second)]
    assert ends[0] != ends[1]
    runs = Runs(way, kind, tmp_path, {"charge": (first, second)})
    seen = set[int]()
    for number, operation in await runs.places():
        for fault in (*CRASHES, Fault.ANSWER_LOST):
            end, world, _ = await runs.run(At(number, fault, operation))
            answer = world.runs("charge")
            seen.add(answer)
            # what such a provider holds is its own affair: it has said two things
            assert replace(end, held=()) == replace(ends[answer - 1], held=()), f"{fault.name} at operation {number}"
    assert seen == {1, 2}


def _new(folder: Path) -> Path:
    new = folder / f"reference-{len(list(folder.iterdir()))}"
    new.mkdir()
    return new
