"""The store in memory passes the contract, and refuses an owner that was replaced."""

import pytest

from sagakit.core.commit import Commit
from sagakit.errors import StoreInUse
from sagakit.stores.memory import MemoryData, MemoryStore
from sagakit.testing.store_contract import StoreContract
from sagakit.testing.store_contract.samples import MakeStore, sent, write


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def make_store(self) -> MakeStore:
        data = MemoryData()
        return lambda: MemoryStore(data)


async def test_an_owner_that_was_replaced_cannot_write() -> None:
    first = MemoryStore()
    await first.open()
    second = first.again()
    await second.open()
    with pytest.raises(StoreInUse):
        await first.commit([sent()])
    with pytest.raises(StoreInUse):
        await first.commit([Commit()])
    await first.close()
    await write(second, sent())
    await second.close(clean=False)
    assert not await first.open()


async def test_what_was_committed_does_not_change_with_its_objects() -> None:
    store = MemoryStore()
    await store.open()
    commit = sent()
    await write(store, commit)
    commit.deliveries[0].attempt = 9
    commit.messages[0].type = "changed"
    [found] = await store.read_deliveries()
    assert (found.attempt, found.envelope.type) == (1, "shop.PlaceOrder")
    found.attempt = 9
    assert (await store.read_deliveries())[0].attempt == 1
