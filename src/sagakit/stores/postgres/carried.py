"""A message that is not in the log yet, as its delivery's row carries it."""

from __future__ import annotations

import msgspec
from msgspec.structs import astuple

from sagakit.core.commit import Envelope

LOGGED = Envelope.__struct_fields__.index("position")
"""How many fields of an Envelope the log keeps beside its position. They are its columns, in this order."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


def encode_carried(envelope: Envelope) -> bytes:
    """What the row holds."""
    return _encode(astuple(envelope)[:LOGGED])


def decode_carried(row: bytes) -> Envelope:
    """The message that a row holds."""
    return Envelope(*_decode(row))
