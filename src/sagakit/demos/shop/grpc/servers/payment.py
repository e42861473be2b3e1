"""payment.v1.Payment."""

from __future__ import annotations

from typing import Any

from sagakit import Engine, InvalidMessage
from sagakit.demos.shop.grpc.amounts import decimal_of
from sagakit.demos.shop.grpc.beyond import outcome
from sagakit.demos.shop.grpc.generated.payment_pb2 import ChargeRequest, ChargeResponse, RefundRequest, RefundResponse
from sagakit.demos.shop.grpc.servers.checks import check_id
from sagakit.demos.shop.payments.messages import (
    ChargePayment,
    PaymentCharged,
    PaymentDeclined,
    PaymentRefunded,
    RefundPayment,
)
from sagakit.transports.grpc import ask


class PaymentService:
    """Charges at the card provider. A repeat has one effect by its key; a refund is remembered by its order."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def Charge(self, request: ChargeRequest, context: Any) -> ChargeResponse:
        """Charge a card."""
        check_id(request.order_id)
        amount = decimal_of(request.amount, "amount")
        if amount <= 0:
            raise InvalidMessage(f"amount is {amount}: send one above 0")
        command = ChargePayment(request.order_id, amount)
        event = await ask(self._engine, command, context, until=(PaymentCharged, PaymentDeclined))
        context.set_trailing_metadata(outcome(event))
        return ChargeResponse(success=isinstance(event, PaymentCharged))

    async def Refund(self, request: RefundRequest, context: Any) -> RefundResponse:
        """Give it back."""
        check_id(request.order_id)
        event = await ask(self._engine, RefundPayment(request.order_id), context, until=PaymentRefunded)
        context.set_trailing_metadata(outcome(event))
        return RefundResponse(success=True)
