"""Doubles on the wire, decimal inside: nothing is lost on the way there and back."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from sagakit.demos.shop.grpc.amounts import decimal_of


@given(st.integers(0, 10**14 - 1))
def test_every_amount_comes_back(cents: int) -> None:
    amount = Decimal(cents).scaleb(-2)
    assert decimal_of(float(amount), "amount") == amount
