"""Sagas: what their code awaits, how it is driven, and how its steps are undone."""
