"""The stock: free and held units, moved without losing one."""

from hypothesis import given, settings
from hypothesis import strategies as st

from sagakit.demos.shop.inventory.messages import OutOfStock, ReleaseStock, ReserveStock, StockReleased, StockReserved
from sagakit.demos.shop.inventory.stock import AT_THE_START, Stock


def test_reserves_what_is_free() -> None:
    event = Stock().decide(ReserveStock("o-1", {"prod_1": 2, "prod_2": 10}))
    assert event == StockReserved("o-1", {"prod_1": 2, "prod_2": 10}, {"prod_1": 13, "prod_2": 0})
    stock = Stock().evolve(event)
    assert stock.free == {"prod_1": 13, "prod_2": 0, "prod_3": 0}
    assert stock.held == {"o-1": {"prod_1": 2, "prod_2": 10}}


def test_refuses_what_is_not_there() -> None:
    too_many = Stock().decide(ReserveStock("o-1", {"prod_1": 1, "prod_2": 11}))
    assert too_many == OutOfStock("o-1", "prod_2", "prod_2 is out of stock: 11 wanted, 10 left")
    none = Stock().decide(ReserveStock("o-1", {"prod_3": 1}))
    assert none == OutOfStock("o-1", "prod_3", "prod_3 is out of stock: 1 wanted, none left")
    assert Stock().evolve(too_many) == Stock()


def test_refuses_a_product_that_nobody_knows() -> None:
    assert Stock().decide(ReserveStock("o-1", {"prod_9": 1})) == OutOfStock("o-1", "prod_9", "prod_9 is not sold here")


def test_refuses_to_reserve_nothing_or_less() -> None:
    event = Stock().decide(ReserveStock("o-1", {"prod_1": -5}))
    assert event == OutOfStock("o-1", "prod_1", "-5 units of prod_1 cannot be reserved")


def test_a_repeat_holds_the_same_units_once() -> None:
    command = ReserveStock("o-1", {"prod_1": 15})
    stock = Stock().evolve(Stock().decide(command))
    assert stock.decide(command) == StockReserved("o-1", {"prod_1": 15}, {"prod_1": 0})
    assert stock.evolve(stock.decide(command)) == stock


def test_releases_what_is_held() -> None:
    stock = Stock().evolve(Stock().decide(ReserveStock("o-1", {"prod_1": 2})))
    event = stock.decide(ReleaseStock("o-1"))
    assert event == StockReleased("o-1", {"prod_1": 2}, {"prod_1": 15})
    assert stock.evolve(event).free == AT_THE_START
    assert stock.evolve(event).held == {}


def test_an_undo_that_comes_first_succeeds_and_is_remembered() -> None:
    event = Stock().decide(ReleaseStock("o-1"))
    assert event == StockReleased("o-1", {}, {})
    stock = Stock().evolve(event)
    assert isinstance(stock.decide(ReserveStock("o-1", {"prod_1": 1})), OutOfStock)


def test_releasing_twice_gives_back_once() -> None:
    stock = Stock()
    for command in (ReserveStock("o-1", {"prod_1": 2}), ReleaseStock("o-1"), ReleaseStock("o-1")):
        stock = stock.evolve(stock.decide(command))
    assert stock.free == AT_THE_START


orders = st.sampled_from([f"o-{number}" for number in range(6)])
units = st.dictionaries(st.sampled_from(["prod_1", "prod_2", "prod_3", "prod_4"]), st.integers(-1, 9), max_size=3)
commands = st.lists(st.builds(ReserveStock, orders, units) | st.builds(ReleaseStock, orders), max_size=40)


@settings(max_examples=200)
@given(commands)
def test_no_unit_is_lost_or_made(story: list[ReserveStock | ReleaseStock]) -> None:
    stock = Stock()
    for command in story:
        stock = stock.evolve(stock.decide(command))
        held = [held.get(product, 0) for product in AT_THE_START for held in stock.held.values()]
        assert min(stock.free.values()) >= 0
        assert min(held, default=0) >= 0
        for product, number in AT_THE_START.items():
            assert stock.free[product] + sum(held.get(product, 0) for held in stock.held.values()) == number
