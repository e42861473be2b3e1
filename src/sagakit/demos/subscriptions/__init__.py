"""Subscriptions: a plan is ordered in five steps against a payment provider that runs beside it."""
