"""Batches: many items, each with a command of its own, a bounded number of them in flight."""
