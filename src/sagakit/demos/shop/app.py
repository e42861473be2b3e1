"""The shop, put together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from sagakit import App, Module
from sagakit.demos.shop.account import Account
from sagakit.demos.shop.inventory import inventory
from sagakit.demos.shop.orders import orders
from sagakit.demos.shop.orders.fulfilment_manager import orders_with_manager
from sagakit.demos.shop.orders.fulfilment_steps import orders_in_steps
from sagakit.demos.shop.payments import payments

Way: TypeAlias = Literal["code", "steps", "manager"]

_ORDERS: Mapping[Way, Module] = {"code": orders, "steps": orders_in_steps, "manager": orders_with_manager}


def shop_app(way: Way = "code") -> App:
    """The shop, with its order process written in one of the three ways; all else is the same."""
    app = App("shop", _ORDERS[way], inventory, payments)
    app.provides(silence)
    return app


def silence() -> Account:
    """An account that nobody reads."""
    return Account(None)


shop = shop_app()
