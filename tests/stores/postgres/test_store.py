"""The store on PostgreSQL passes the contract."""

import pytest

from sagakit.stores.postgres.store import PostgresStore
from sagakit.testing.store_contract import StoreContract
from sagakit.testing.store_contract.samples import MakeStore


class TestPostgresStore(StoreContract):
    @pytest.fixture
    def make_store(self, postgres_url: str) -> MakeStore:
        return lambda: PostgresStore(postgres_url)
