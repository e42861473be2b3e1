"""Way 3, the batch that is built in: a row a guest, so many at once, and the failed ones run again."""

from sagakit.demos.hotel.batch.group_checkout import batch

__all__ = ["batch"]
