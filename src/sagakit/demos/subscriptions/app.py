"""The subscription service, put together."""

from __future__ import annotations

from sagakit import App
from sagakit.demos.subscriptions import account, alarm, subscribe
from sagakit.demos.subscriptions.steps import subscriptions

__all__ = ["account", "alarm", "app", "subscribe"]

app = App("subscriptions", subscriptions)
