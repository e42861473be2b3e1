"""Those who wait: for an event of a story, and for what an instance does next."""
