"""Two gateways before one store, with a server between them that a test moves by hand."""

import pytest
from tests.idempotency.shelf import Books, Gateway, Shelf, Time


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def shelf(time: Time) -> Shelf:
    return Shelf(time)


@pytest.fixture
def books() -> Books:
    return Books()


@pytest.fixture
async def one(shelf: Shelf, books: Books, time: Time) -> Gateway:
    return Gateway(shelf, books, time)


@pytest.fixture
async def two(shelf: Shelf, books: Books, time: Time) -> Gateway:
    return Gateway(shelf, books, time)
