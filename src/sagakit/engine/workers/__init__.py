"""Several engines on one store: each owns its share of the partitions, and knows what the others have to be told."""
