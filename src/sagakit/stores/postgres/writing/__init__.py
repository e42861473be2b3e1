"""Groups of Commits into transactions."""
