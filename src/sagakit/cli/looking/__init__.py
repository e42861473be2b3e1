"""Looking at what the database holds: processes and messages."""
