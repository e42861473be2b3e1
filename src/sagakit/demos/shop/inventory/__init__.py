"""Inventory: the whole module."""

from sagakit.demos.shop.inventory import account
from sagakit.demos.shop.inventory.stock import inventory

__all__ = ["account", "inventory"]
