"""The saga of an order: five steps forward; if one is not done, those before it are undone, and one alert is raised."""

from __future__ import annotations

from sagakit import Step
from sagakit.demos.subscriptions.messages import Order
from sagakit.demos.subscriptions.steps import subscriptions

PATIENCE = 30
"""Seconds that a step has, its retries included."""

subscribe = subscriptions.step_saga(
    "subscribe",
    Step(
        Order.Step1.CreateCustomer,
        then=Order.Step1.CustomerCreated,
        undo=Order.Step1.Failed.CancelCustomer,
        timeout=PATIENCE,
    ),
    Step(Order.Step2.OrderPlan, then=Order.Step2.PlanOrdered, undo=Order.Step2.Failed.CancelPlan, timeout=PATIENCE),
    Step(
        Order.Step3.CreateSession,
        then=Order.Step3.SessionCreated,
        undo=Order.Step3.Failed.CancelSession,
        timeout=PATIENCE,
    ),
    Step(
        Order.Step4.TakePayment,
        then=Order.Step4.PaymentTaken,
        undo=Order.Step4.Failed.RefundPayment,
        timeout=PATIENCE,
    ),
    Step(
        Order.Step5.AdjustPermissions,
        then=Order.Step5.PermissionsAdjusted,
        undo=Order.Step5.Failed.RestorePermissions,
        timeout=PATIENCE,
    ),
    starts_with=Order.Start,
    key="order_id",
    undo=Order.Failed.RaiseAlert,
)
