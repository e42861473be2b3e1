"""The shop as four processes: what runs in each, and what it needs to reach the others."""
