"""What a client asks of `POST /orders`: read, checked, and told apart from any other request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, TypeAlias, cast

from sagakit import stable_id
from sagakit.demos.shop.numbers import DIGITS_AFTER, DIGITS_BEFORE, InvalidJson, in_bounds, read_json
from sagakit.demos.shop.orders.messages import Item
from sagakit.demos.shop.orders.order import total_of

MOST_ITEMS = 1_000
MOST_UNITS = 2**31 - 1
"""What fits the `int32` that other doors of the shop have."""
LONGEST_NAME = 255

BadInput: TypeAlias = Literal["invalid_json", "invalid_request", "invalid_item"]


class BadRequest(Exception):
    """The request cannot be taken; the message names the field, what it is, and what it should be."""

    def __init__(self, error: BadInput, message: str) -> None:
        super().__init__(message)
        self.error: BadInput = error


@dataclass(frozen=True)
class OrderRequest:
    """A request as it was understood."""

    customer_id: str
    items: tuple[Item, ...]

    def digest(self) -> str:
        """The same for the same order, however it is written: names in another order, 50.0 for 50.00."""
        parts = [self.customer_id]
        for item in self.items:
            parts += [item.product_id, str(item.quantity), f"{item.price.normalize():f}"]
        return stable_id("order request", *parts)


def read_order(body: bytes) -> OrderRequest:
    """The order that a body asks for; raises BadRequest."""
    try:
        value = read_json(body)
    except InvalidJson as error:
        raise BadRequest("invalid_json", f"the body is no JSON: {error}") from None
    return order_of(value)


def order_of(value: Any) -> OrderRequest:
    """The order that a value means, as JSON has it with its numbers as decimals; raises BadRequest."""
    fields = _fields(value, ("customer_id", "items"), "invalid_request", "the body")
    customer_id = _name(fields["customer_id"], "invalid_request", "customer_id")
    items = _items(fields["items"])
    if not in_bounds(total := total_of(items)):
        raise BadRequest(
            "invalid_item", f"the items cost {total:f} in all: at most {DIGITS_BEFORE} digits before the point"
        )
    return OrderRequest(customer_id, items)


def _items(value: Any) -> tuple[Item, ...]:
    if not isinstance(value, list):
        raise BadRequest("invalid_request", f"items is {_shown(value)}: send a list of items")
    listed = cast(list[Any], value)
    if not listed:
        raise BadRequest("invalid_request", "items is empty: send at least one item")
    if len(listed) > MOST_ITEMS:
        raise BadRequest("invalid_request", f"items has {len(listed)} entries: send at most {MOST_ITEMS}")
    return tuple(_item(item, f"items[{index}]") for index, item in enumerate(listed))


def _item(value: Any, where: str) -> Item:
    fields = _fields(value, ("product_id", "quantity", "price"), "invalid_item", where)
    return Item(
        _name(fields["product_id"], "invalid_item", f"{where}.product_id"),
        _quantity(fields["quantity"], f"{where}.quantity"),
        _price(fields["price"], f"{where}.price"),
    )


def _fields(value: Any, names: tuple[str, ...], error: BadInput, where: str) -> Mapping[str, Any]:
    """An object with these fields and no others."""
    if not isinstance(value, dict):
        raise BadRequest(error, f"{where} is {_shown(value)}: send an object with {_listed(names)}")
    fields = cast(dict[str, Any], value)
    if missing := [name for name in names if name not in fields]:
        raise BadRequest(error, f"{where} has no {missing[0]}: send {_listed(names)}")
    if unknown := [name for name in fields if name not in names]:
        raise BadRequest(error, f"{where} has {_shown(unknown[0])}, which is not known: send {_listed(names)}")
    return fields


def _name(value: Any, error: BadInput, where: str) -> str:
    if not isinstance(value, str):
        raise BadRequest(error, f"{where} is {_shown(value)}: send a string")
    if not value or len(value) > LONGEST_NAME:
        raise BadRequest(error, f"{where} has {len(value)} characters: send 1 to {LONGEST_NAME}")
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise BadRequest(error, f"{where} has half of a surrogate pair: send whole characters")
    return value


def _quantity(value: Any, where: str) -> int:
    if not isinstance(value, Decimal) or value.as_tuple().exponent != 0:
        raise BadRequest("invalid_item", f"{where} is {_shown(value)}: send a whole number above 0")
    if not 0 < value <= MOST_UNITS:
        raise BadRequest("invalid_item", f"{where} is {_shown(value)}: send a whole number from 1 to {MOST_UNITS}")
    return int(value)


def _price(value: Any, where: str) -> Decimal:
    if not isinstance(value, Decimal):
        raise BadRequest("invalid_item", f"{where} is {_shown(value)}: send a JSON number above 0")
    if value <= 0:
        raise BadRequest("invalid_item", f"{where} is {_shown(value)}: send a number above 0")
    if not in_bounds(value):
        digits = f"at most {DIGITS_BEFORE} digits before the point and {DIGITS_AFTER} after it"
        raise BadRequest("invalid_item", f"{where} is {_shown(value)}: send {digits}")
    return Decimal(f"{value:f}")  # 5e1 is 50


def _listed(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _shown(value: Any) -> str:
    """A value in an error message: short, and in JSON's words."""
    match value:
        case None | True | False:
            return {None: "null", True: "true", False: "false"}[value]
        case str():
            text = repr(value)
        case Decimal():
            text = str(value)
        case list():
            return "a list"
        case _:
            return "an object"
    return text if len(text) <= 40 else f"{text[:40]}..."
