"""The store on an SQLite file passes the contract."""

from pathlib import Path

import pytest

from sagakit.stores.sqlite import SqliteStore
from sagakit.testing.store_contract import StoreContract
from sagakit.testing.store_contract.samples import MakeStore


class TestSqliteStore(StoreContract):
    @pytest.fixture
    def make_store(self, tmp_path: Path) -> MakeStore:
        return lambda: SqliteStore(tmp_path / "shop.db")
