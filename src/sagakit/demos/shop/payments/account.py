"""What the shop's account says of payments."""

from __future__ import annotations

from sagakit.demos.shop.account import Account
from sagakit.demos.shop.payments.messages import PaymentCharged, PaymentDeclined, PaymentRefunded
from sagakit.demos.shop.payments.payment import payments


@payments.on(key="order_id")
async def tell_payment(event: PaymentCharged | PaymentDeclined | PaymentRefunded, account: Account) -> None:
    """Charged, declined or given back."""
    match event:
        case PaymentCharged(order_id, payment_id, amount):
            account.step(order_id, "payment charged", f"{amount} ({payment_id})")
        case PaymentDeclined(order_id, reason):
            account.refusal(order_id, reason)
        case PaymentRefunded(order_id, amount):
            account.undo(order_id, "payment refunded", str(amount) if amount else "nothing was charged")
