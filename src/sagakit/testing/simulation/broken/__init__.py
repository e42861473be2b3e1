"""Engines that are broken on purpose: a simulation that finds nothing in them would be worth nothing."""
