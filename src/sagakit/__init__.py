"""Durable business processes: commands, events, processes and their compensation, in one commit."""
