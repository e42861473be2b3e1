"""The store that fails where a test says so."""

from pathlib import Path

import pytest

from sagakit.core.queries import InstanceQuery
from sagakit.errors import CommitLost, StoreFailed
from sagakit.ports import Store
from sagakit.stores.memory import MemoryStore
from sagakit.stores.sqlite import SqliteStore
from sagakit.testing.faults import At, Fault, FaultyStore, SimulatedCrash
from sagakit.testing.store_contract import StoreContract
from sagakit.testing.store_contract.samples import MakeStore, read_all, sent, write


class TestWithoutFaults(StoreContract):
    @pytest.fixture
    def make_store(self) -> MakeStore:
        store = MemoryStore()
        return lambda: FaultyStore(store.again())


@pytest.fixture(params=["memory", "sqlite"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> MakeStore:
    if request.param == "memory":
        return MemoryStore().again
    return lambda: SqliteStore(tmp_path / "shop.db")


async def found_by_the_next(make_store: MakeStore) -> list[str]:
    store = make_store()
    await store.open()
    found = await read_all(store)
    await store.close()
    return found


async def test_counts_the_operations_in_their_order(make_store: MakeStore) -> None:
    store = FaultyStore(make_store())
    await store.open()
    await write(store, sent())
    await store.read_messages()
    await store.close()
    assert store.operations == ["open", "commit", "read_messages", "close"]


async def test_a_crash_before_a_commit_writes_nothing(make_store: MakeStore) -> None:
    store = FaultyStore(make_store(), At(2, Fault.CRASH_BEFORE, "commit"))
    await store.open()
    first = sent()
    await write(store, first)
    with pytest.raises(SimulatedCrash):
        await store.commit([sent()])
    assert store.crashed.is_set()
    assert await found_by_the_next(make_store) == [first.messages[0].id]


async def test_a_crash_after_a_commit_has_written_it(make_store: MakeStore) -> None:
    store = FaultyStore(make_store(), At(1, Fault.CRASH_AFTER, "commit"))
    await store.open()
    commit = sent()
    with pytest.raises(SimulatedCrash):
        await store.commit([commit])
    assert await found_by_the_next(make_store) == [commit.messages[0].id]


async def test_after_a_crash_nothing_is_done_any_more(make_store: MakeStore) -> None:
    store = FaultyStore(make_store(), At(2, Fault.CRASH_BEFORE))
    await store.open()
    with pytest.raises(SimulatedCrash):
        await store.read_messages()
    with pytest.raises(SimulatedCrash):
        await store.commit([sent()])
    with pytest.raises(SimulatedCrash):
        await store.read_instances(InstanceQuery())
    await store.close()
    next_one = make_store()
    assert not await next_one.open()
    assert await read_all(next_one) == []
    await next_one.close()


@pytest.mark.parametrize(("fault", "written"), [(Fault.ANSWER_LOST, True), (Fault.COMMIT_LOST, False)])
async def test_a_lost_answer_can_be_asked_for(make_store: MakeStore, fault: Fault, written: bool) -> None:
    store = FaultyStore(make_store(), At(1, fault, "commit"))
    await store.open()
    commit = sent()
    with pytest.raises(CommitLost):
        await store.commit([commit])
    assert await store.committed([commit]) == [written]
    assert bool(commit.messages[0].position) == written
    assert await read_all(store) == [commit.messages[0].id] * written
    await write(store, sent())
    await store.close()


async def test_a_failed_operation_is_not_done(make_store: MakeStore) -> None:
    store = FaultyStore(make_store(), At(1, Fault.FAILED, "commit"), At(1, Fault.FAILED, "read_messages"))
    await store.open()
    with pytest.raises(StoreFailed) as raised:
        await store.commit([sent()])
    assert not isinstance(raised.value, CommitLost)
    with pytest.raises(StoreFailed):
        await store.read_messages()
    assert await read_all(store) == []
    await store.close()


async def test_a_fault_at_each_operation_strikes_there(make_store: MakeStore) -> None:
    async def run(store: Store) -> None:
        await store.open()
        await write(store, sent())
        await store.read_messages()
        await store.subscribe([])
        await store.close()

    counting = FaultyStore(MemoryStore())
    await run(counting)
    for number, operation in enumerate(counting.operations, 1):
        store = FaultyStore(make_store(), At(number, Fault.CRASH_AFTER))
        with pytest.raises(SimulatedCrash, match=f"at operation {number}: {operation}"):
            await run(store)
        assert len(store.operations) == number
