"""Lanes: what is to be done of one key at one consumer, in order, and who does it."""
