"""Calls: a command as a unary call of a service, the way there, and whether it is there."""
