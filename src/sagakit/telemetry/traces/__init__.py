"""Spans of the stories that are sampled, made after the fact from what was committed."""
