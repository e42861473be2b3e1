"""HTTP: routes, what an error is to a client, and the server beside an engine."""
