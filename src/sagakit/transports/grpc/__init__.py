"""gRPC: a step's command as a call of a service, and what a service of your own is served with."""

from importlib.util import find_spec

from sagakit.errors import MissingExtra

if find_spec("grpc") is None or find_spec("grpc_health") is None or find_spec("grpc_reflection") is None:
    raise MissingExtra("gRPC", "grpc")

from sagakit.transports.grpc.answering.asking import ask
from sagakit.transports.grpc.answering.incoming import Incoming, current
from sagakit.transports.grpc.answering.participating import done_by
from sagakit.transports.grpc.answering.serving import Served, serving
from sagakit.transports.grpc.calling.channel import connected
from sagakit.transports.grpc.calling.peer import Peer
from sagakit.transports.grpc.calling.unary import unary
from sagakit.transports.grpc.metadata import Metadata, text_of, text_value
from sagakit.transports.grpc.status import CallFailed, CallRejected

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
    "done_by",
    "serving",
    "text_of",
    "text_value",
    "unary",
]
