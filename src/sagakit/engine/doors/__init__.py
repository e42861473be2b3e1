"""Doors beside `inbox`: the answers of participants, and the links that bring messages in."""
