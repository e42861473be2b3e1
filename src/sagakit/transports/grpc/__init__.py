"""gRPC: a step's command as a call of a service, and what a service of your own is served with."""

from importlib.util import find_spec

from sagakit.errors import MissingExtra

if find_spec("grpc") is None or find_spec("grpc_health") is None or find_spec("grpc_reflection") is None:
    raise MissingExtra("gRPC", "grpc")

from sagakit.transports.grpc.asking import ask
from sagakit.transports.grpc.channel import connected
from sagakit.transports.grpc.incoming import Incoming, current
from sagakit.transports.grpc.metadata import Metadata, text_of, text_value
from sagakit.transports.grpc.peer import Peer
from sagakit.transports.grpc.serving import Served, serving
from sagakit.transports.grpc.status import CallFailed, CallRejected
from sagakit.transports.grpc.unary import unary

__all__ = [
    "CallFailed",
    "CallRejected",
    "Incoming",
    "Metadata",
    "Peer",
    "Served",
    "ask",
    "connected",
    "current",
    "serving",
    "text_of",
    "text_value",
    "unary",
]
