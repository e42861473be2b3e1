"""What every store must do, as tests: subclass `StoreContract`, and give it the stores to test.

    class TestMyStore(StoreContract):
        @pytest.fixture
        def make_store(self, tmp_path):
            return lambda: MyStore(tmp_path / "data")

A store that several engines may share also passes the `ClusterContract`. The tests are coroutines and run under
pytest-asyncio.
"""

from sagakit.testing.store_contract.contract import StoreContract
from sagakit.testing.store_contract.sharing import ClusterContract

__all__ = ["ClusterContract", "StoreContract"]
