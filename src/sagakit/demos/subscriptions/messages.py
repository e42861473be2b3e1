"""The order of a subscription plan: commands and events, grouped by step, each with what takes it back."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


class SubscriptionPlanOrder:
    """One order, from its start to the permissions of the team."""

    @dataclass(frozen=True)
    class Start:
        """Somebody wants a plan."""

        order_id: str
        email: str
        plan: str
        persons: int
        card: str

    class Step1:
        """The customer, at the payment provider."""

        @dataclass(frozen=True)
        class CreateCustomer:
            order_id: str
            email: str

        @dataclass(frozen=True)
        class CustomerCreated:
            order_id: str
            customer_id: str

        class Failed:
            @dataclass(frozen=True)
            class CancelCustomer:
                order_id: str
                customer_id: str | None = None
                """Unknown where the answer was lost: the order's id finds it too."""
                reason: str = ""

            @dataclass(frozen=True)
            class CustomerCancelled:
                order_id: str
                reason: str

    class Step2:
        """The plan, at the payment provider."""

        @dataclass(frozen=True)
        class OrderPlan:
            order_id: str
            plan: str
            persons: int

        @dataclass(frozen=True)
        class PlanOrdered:
            order_id: str
            price: Decimal

        class Failed:
            @dataclass(frozen=True)
            class CancelPlan:
                order_id: str
                reason: str = ""

            @dataclass(frozen=True)
            class PlanCancelled:
                order_id: str
                reason: str

    class Step3:
        """The payment session, which the customer's browser is sent to."""

        @dataclass(frozen=True)
        class CreateSession:
            order_id: str
            customer_id: str
            price: Decimal

        @dataclass(frozen=True)
        class SessionCreated:
            order_id: str
            session_id: str

        class Failed:
            @dataclass(frozen=True)
            class CancelSession:
                order_id: str
                reason: str = ""

            @dataclass(frozen=True)
            class SessionCancelled:
                order_id: str
                reason: str

    class Step4:
        """The payment."""

        @dataclass(frozen=True)
        class TakePayment:
            order_id: str
            session_id: str
            price: Decimal
            card: str

        @dataclass(frozen=True)
        class PaymentTaken:
            order_id: str
            payment_id: str

        class Failed:
            @dataclass(frozen=True)
            class RefundPayment:
                order_id: str
                payment_id: str | None = None
                reason: str = ""

            @dataclass(frozen=True)
            class PaymentRefunded:
                order_id: str
                reason: str

    class Step5:
        """The permissions of the team."""

        @dataclass(frozen=True)
        class AdjustPermissions:
            order_id: str
            plan: str
            persons: int

        @dataclass(frozen=True)
        class PermissionsAdjusted:
            order_id: str

        class Failed:
            @dataclass(frozen=True)
            class RestorePermissions:
                order_id: str
                reason: str = ""

            @dataclass(frozen=True)
            class PermissionsRestored:
                order_id: str
                reason: str

    class Failed:
        """The order as a whole."""

        @dataclass(frozen=True)
        class RaiseAlert:
            order_id: str
            email: str
            reason: str = ""

        @dataclass(frozen=True)
        class AlertRaised:
            order_id: str
            email: str
            reason: str


Order = SubscriptionPlanOrder
