"""A test, run again with a crash at every commit, with everything doubled, and in other orders."""
