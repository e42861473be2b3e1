"""One handler for each kind of consumer: aggregates, services (and listeners, forwarders), processes."""
