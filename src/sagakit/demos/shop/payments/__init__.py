"""Payments: the whole module."""

from sagakit.demos.shop.payments import account
from sagakit.demos.shop.payments.payment import payments

__all__ = ["account", "payments"]
