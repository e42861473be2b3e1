"""Rows back into what the store's port speaks of."""
