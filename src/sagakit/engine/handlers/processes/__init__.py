"""What an instance of a process is in memory, and what is written of it."""
