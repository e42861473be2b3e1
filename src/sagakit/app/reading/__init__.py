"""What modules declare, read before anything runs: annotations resolved, sources looked at, messages sorted."""
