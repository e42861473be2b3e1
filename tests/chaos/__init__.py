"""Workers, servers and clients under fire, and the auditor who looks at what is left: `make chaos`."""
