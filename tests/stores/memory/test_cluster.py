"""The store in memory, shared, passes the contract of clusters."""

import pytest

from sagakit.stores.memory import MemoryData, MemoryStore
from sagakit.testing.store_contract import ClusterContract
from sagakit.testing.store_contract.samples import MakeStore
from sagakit.testing.store_contract.sharing import Expire


class TestMemoryCluster(ClusterContract):
    @pytest.fixture
    def data(self) -> MemoryData:
        return MemoryData()

    @pytest.fixture
    def make_store(self, data: MemoryData) -> MakeStore:
        return lambda: MemoryStore(data, shared=True)

    @pytest.fixture
    def expire(self, data: MemoryData) -> Expire:
        async def expire(worker: str) -> None:
            data.expire(worker)

        return expire
