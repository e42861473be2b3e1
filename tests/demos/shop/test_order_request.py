"""What `POST /orders` takes, and how it says no."""

from decimal import Decimal

import pytest

from sagakit.demos.shop.order_request import BadRequest, OrderRequest, read_order
from sagakit.demos.shop.orders.messages import Item

ITEM = b'{"product_id": "prod_1", "quantity": 2, "price": 50.00}'
ORDER = b'{"customer_id": "ann", "items": [' + ITEM + b"]}"


def refusal(body: bytes) -> tuple[str, str]:
    with pytest.raises(BadRequest) as refused:
        read_order(body)
    return refused.value.error, str(refused.value)


def order(**fields: str) -> bytes:
    """An order with these fields of its item, as they are written."""
    item = {"product_id": '"prod_1"', "quantity": "2", "price": "50.00"} | fields
    return ('{"customer_id": "ann", "items": [{' + ", ".join(f'"{n}": {v}' for n, v in item.items()) + "}]}").encode()


def test_reads_an_order_with_its_digits() -> None:
    asked = read_order(ORDER)
    assert asked == OrderRequest("ann", (Item("prod_1", 2, Decimal("50.00")),))
    assert str(asked.items[0].price) == "50.00"


@pytest.mark.parametrize(
    ("written", "price"),
    [
        ("0.01", "0.01"),
        ("50", "50"),
        ("50.0", "50.0"),
        ("5e1", "50"),
        ("5E-1", "0.5"),
        ("1.25e1", "12.5"),
        ("999999999999.99", "999999999999.99"),
    ],
)
def test_takes_every_number_within_bounds(written: str, price: str) -> None:
    assert str(read_order(order(price=written, quantity="1")).items[0].price) == price


@pytest.mark.parametrize(
    "written",
    [
        *("0", "0.00", "-0.0", "-1", "0.001", "50.000", "1000000000000", "1e400", "1e-400", "1e12", "9" * 5000),
        *('"50.00"', "true", "null", "[]", "{}", '"NaN"', "1e99999999", "-1e400", "0e5"),
    ],
)
def test_refuses_a_price_that_is_no_amount(written: str) -> None:
    error, message = refusal(order(price=written))
    assert error == "invalid_item"
    assert message.startswith("items[0].price is ")
    assert "send" in message
    assert len(message) < 200


@pytest.mark.parametrize(
    "written", ["0", "-1", "1.5", "2.0", "1e2", '"2"', "true", "null", "2147483648", "9" * 5000, "[1]"]
)
def test_refuses_a_quantity_that_is_no_count(written: str) -> None:
    error, message = refusal(order(quantity=written))
    assert error == "invalid_item"
    assert message.startswith("items[0].quantity is ")
    assert "send a whole number" in message


@pytest.mark.parametrize("written", ['""', "5", "null", "[]", '"' + "x" * 256 + '"', r'"\ud800"'])
def test_refuses_a_product_that_is_no_name(written: str) -> None:
    error, message = refusal(order(product_id=written))
    assert error == "invalid_item"
    assert message.startswith("items[0].product_id ")


def test_takes_any_whole_text_as_a_name() -> None:
    assert read_order(order(product_id=r'"\u0000 \ud83d\ude00 Zoë"')).items[0].product_id == "\0 😀 Zoë"


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_refuses_numbers_that_json_does_not_know(constant: str) -> None:
    assert refusal(order(price=constant)) == (
        "invalid_json",
        f"the body is no JSON: {constant} is no JSON number",
    )


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b" ", b"{", b"{]", b"nope", b"{'a': 1}", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf{}", ORDER + b"x"),
        *(ORDER.decode().encode("utf-16"), b"[" * 100_000, b'{"a":' * 100_000, b"1e9999999999999999999", b'"\n"'),
        b'{"customer_id": "a", "customer_id": "b", "items": [' + ITEM + b"]}",
    ],
)
def test_refuses_what_is_no_json(body: bytes) -> None:
    error, message = refusal(body)
    assert error == "invalid_json"
    assert message.startswith("the body is no JSON: ")
    assert len(message) < 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"null", "the body is null: send an object with customer_id and items"),
        (b"[]", "the body is a list: send an object with customer_id and items"),
        (b"5", "the body is 5: send an object with customer_id and items"),
        (b'"text"', "the body is 'text': send an object with customer_id and items"),
        (b"{}", "the body has no customer_id: send customer_id and items"),
        (b'{"customer_id": "ann"}', "the body has no items: send customer_id and items"),
        (b'{"customer_id": "ann", "items": []}', "items is empty: send at least one item"),
        (b'{"customer_id": "ann", "items": {}}', "items is an object: send a list of items"),
        (b'{"customer_id": "ann", "items": null}', "items is null: send a list of items"),
        (b'{"customer_id": 7, "items": [' + ITEM + b"]}", "customer_id is 7: send a string"),
        (b'{"customer_id": "", "items": [' + ITEM + b"]}", "customer_id has 0 characters: send 1 to 255"),
        (
            b'{"customer_id": "ann", "items": [' + ITEM + b'], "vip": true}',
            "the body has 'vip', which is not known: send customer_id and items",
        ),
        (
            b'{"customer_id": "ann", "items": [' + b", ".join([ITEM] * 1001) + b"]}",
            "items has 1001 entries: send at most 1000",
        ),
    ],
)
def test_refuses_another_shape(body: bytes, message: str) -> None:
    assert refusal(body) == ("invalid_request", message)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (b"null", "items[0] is null: send an object with product_id, quantity and price"),
        (b'{"quantity": 1, "price": 1}', "items[0] has no product_id: send product_id, quantity and price"),
        (
            b'{"product_id": "a", "quantity": 1, "price": 1, "color": "red"}',
            "items[0] has 'color', which is not known: send product_id, quantity and price",
        ),
    ],
)
def test_refuses_an_item_of_another_shape(item: bytes, message: str) -> None:
    assert refusal(b'{"customer_id": "ann", "items": [' + item + b"]}") == ("invalid_item", message)


def test_refuses_a_total_beyond_all_bounds() -> None:
    error, message = refusal(order(price="999999999999.99", quantity="2"))
    assert error == "invalid_item"
    assert message == "the items cost 1999999999999.98 in all: at most 12 digits before the point"


def test_one_order_has_one_digest_however_it_is_written() -> None:
    digest = read_order(ORDER).digest()
    assert read_order(ORDER.replace(b" ", b"\n ")).digest() == digest
    assert read_order(ORDER.replace(b"50.00", b"5e1")).digest() == digest
    assert read_order(b'{"items": [' + ITEM + b'], "customer_id": "\\u0061nn"}').digest() == digest


@pytest.mark.parametrize(
    ("old", "new"), [(b"ann", b"bob"), (b"prod_1", b"prod_2"), (b": 2", b": 3"), (b"50.00", b"50.01")]
)
def test_another_order_has_another_digest(old: bytes, new: bytes) -> None:
    assert read_order(ORDER.replace(old, new)).digest() != read_order(ORDER).digest()


def test_the_order_of_items_counts() -> None:
    other = ITEM.replace(b"prod_1", b"prod_2")
    first = b'{"customer_id": "ann", "items": [' + ITEM + b", " + other + b"]}"
    second = b'{"customer_id": "ann", "items": [' + other + b", " + ITEM + b"]}"
    assert read_order(first).digest() != read_order(second).digest()
