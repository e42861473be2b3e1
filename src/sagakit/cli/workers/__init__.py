"""Several workers of one app: the processes that `run --workers` starts, and who lives on a database."""
