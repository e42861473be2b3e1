"""Several engines at once on one store: their leases, notices, late Commits; how they come, freeze and go."""
