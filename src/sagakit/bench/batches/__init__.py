"""Batches of more and more items: what one item costs, and that it costs the same however many there are."""
