"""The card provider: a world of its own beside the store, with a durable memory of its own, as a real one has."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Literal

import msgspec

from sagakit import stable_id
from sagakit.demos.shop.payments.ledger import Ledger, LedgerUnusable

LIMIT = Decimal("500.00")
NOTHING = Decimal(0)


class Declined(Exception):
    """The provider says no; the card was not charged."""


@dataclass(frozen=True)
class Books:
    """Where the provider keeps its books; None: in memory."""

    path: Path | None = None


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the provider's books."""

    op: Literal["charge", "refund"]
    order_id: str
    amount: Decimal
    key: str = ""
    payment_id: str = ""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


class Cards:
    """Charges once a key, refunds once an order, however often it is asked."""

    def __init__(self, books: Books = Books()) -> None:
        self._payments: dict[str, Entry] = {}
        self._charged: dict[str, Decimal] = {}
        self._refunded: set[str] = set()
        self._ledger = Ledger(books.path) if books.path else None
        for number, line in enumerate(self._ledger.read() if self._ledger else (), 1):
            try:
                self._take(_decode(line))
            except msgspec.DecodeError as error:
                self.close()
                raise LedgerUnusable(f"{books.path} line {number} is no entry of the card provider: {error}") from error

    async def charge(self, order_id: str, amount: Decimal, *, idempotency_key: str) -> str:
        """Charge, or find the charge made with this key before: its payment id. Raises Declined."""
        payment = self._payments.get(idempotency_key)
        if payment is None:
            if order_id in self._refunded:
                raise Declined("this payment was refunded before it came")
            if amount > LIMIT:
                raise Declined(f"payment declined: {amount} is above the limit of {LIMIT}")
            payment_id = f"pay_{stable_id('payment', idempotency_key)[:12]}"
            payment = self._book(Entry("charge", order_id, amount, idempotency_key, payment_id))
        await self._flush()
        return payment.payment_id

    async def refund(self, order_id: str) -> Decimal:
        """Give back what was charged for the order; from then on it cannot be charged, by one under way either."""
        amount = self._charged.get(order_id, NOTHING)
        if order_id not in self._refunded:
            self._book(Entry("refund", order_id, amount))
        await self._flush()
        return amount

    def close(self) -> None:
        """Let the books go."""
        if self._ledger:
            self._ledger.close()

    def _book(self, entry: Entry) -> Entry:
        self._take(entry)
        if self._ledger:
            self._ledger.append(_encode(entry))
        return entry

    def _take(self, entry: Entry) -> None:
        if entry.op == "refund":
            self._refunded.add(entry.order_id)
        else:
            self._payments[entry.key] = entry
            self._charged[entry.order_id] = self._charged.get(entry.order_id, NOTHING) + entry.amount

    async def _flush(self) -> None:
        if self._ledger:
            await self._ledger.flush()


def books_of(database: Path) -> Path:
    """The card provider's own file, beside the shop's database."""
    return database.with_name(f"{database.name}-cards")
