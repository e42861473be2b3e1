"""The times that a saga waits for: sleeps, timeouts, and its deadline."""
