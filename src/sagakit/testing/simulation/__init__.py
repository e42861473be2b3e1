"""Simulation with a seed: a whole history of engines, crashes, clocks and processes, drawn from one number."""
