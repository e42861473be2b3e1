"""How calls are tried again: a service that is away delays its orders, and refuses none."""

from sagakit import Retry

WITHIN = 5.0
"""Seconds for one call."""
UNTIL_IT_IS_BACK = Retry(None, first=0.2, cap=2)
"""The steps of a saga have timeouts where there is to be an end."""
