"""Limits on what handlers do at the same time and how often they begin, and turns for what waits: pure."""
