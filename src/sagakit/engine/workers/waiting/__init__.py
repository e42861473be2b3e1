"""Who waits or watches at one worker, of what goes on at others: they tell one another."""
