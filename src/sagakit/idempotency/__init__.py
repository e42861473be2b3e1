"""The fast path of idempotency keys: copies of answers in Redis or Valkey, in front of the store that knows.

What is kept here may be lost, flushed or stale at any time: whatever is not found is asked of the store, whose inbox
alone decides what is a repeat. Redis' driver is imported only when a URL asks for it.
"""

from sagakit.idempotency.fast_path import Asked, FastPath
from sagakit.idempotency.opening import fast_path, opened
from sagakit.idempotency.settings import Settings

__all__ = ["Asked", "FastPath", "Settings", "fast_path", "opened"]
