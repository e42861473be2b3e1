"""The whole contract, in one class."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from sagakit.ports import Store
from sagakit.testing.store_contract.keeping import KeepingContract
from sagakit.testing.store_contract.looking import LookingContract
from sagakit.testing.store_contract.matching import MatchingContract
from sagakit.testing.store_contract.operating import OperatingContract
from sagakit.testing.store_contract.ownership import OwnershipContract
from sagakit.testing.store_contract.samples import MakeStore
from sagakit.testing.store_contract.scheduling import SchedulingContract


@pytest.mark.asyncio
class StoreContract(
    OwnershipContract, MatchingContract, KeepingContract, SchedulingContract, LookingContract, OperatingContract
):
    """Subclass this, and override `make_store`."""

    @pytest.fixture
    def make_store(self) -> MakeStore:
        """Gives new stores that are not open yet, all on the same data, which is empty at first."""
        raise NotImplementedError("give a fixture `make_store` that returns a function that makes a store")

    @pytest_asyncio.fixture
    async def store(self, make_store: MakeStore) -> AsyncGenerator[Store]:
        """An open store that owns its data."""
        store = make_store()
        await store.open()
        yield store
        await store.close()
