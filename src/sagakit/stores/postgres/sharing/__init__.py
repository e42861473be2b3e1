"""Several workers on one store: who lives, who owns what, and what they tell one another."""
