"""A service on the far side: it does the work of commands and answers with outcomes, and knows nothing of processes."""

from sagakit.core.participation.messages import Led, Reply, Request
from sagakit.participant.asgi import asgi
from sagakit.participant.memory import InMemory, Memory, Remembering, open_memory
from sagakit.participant.participant import Participant
from sagakit.participant.postgres import PostgresMemory

__all__ = [
    "InMemory",
    "Led",
    "Memory",
    "Participant",
    "PostgresMemory",
    "Remembering",
    "Reply",
    "Request",
    "asgi",
    "open_memory",
]
