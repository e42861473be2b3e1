"""Time: the system's clock, what is due later in memory, and what is scheduled in the store."""
