"""The services, each over the engine of its own process."""
