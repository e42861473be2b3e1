"""What is kept of a key: a claim while its first request is being accepted, then a copy of the answer."""

from __future__ import annotations

from hashlib import blake2b

import msgspec
from msgspec import Raw, Struct

_NONE = Raw(b"")


class Record(Struct, frozen=True, forbid_unknown_fields=True):
    """A claim (`token` says whose) or an answer, sealed for its key and its database."""

    name: str
    """A hash of the key: the key itself may be personal data, and is kept nowhere."""
    digest: str
    """Of the request."""
    token: str = ""
    answer: Raw = _NONE
    seal: str = ""

    @property
    def answered(self) -> bool:
        """Whether it is an answer, no claim."""
        return not self.token


def sealed(identity: str, name: str, digest: str, *, token: str = "", answer: bytes = b"null") -> Record:
    """A record as one of our processes writes it."""
    return Record(name, digest, token, Raw(answer), _seal(identity, name, digest, token, answer))


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Record)


def encode(record: Record) -> bytes:
    """As JSON: the bytes of the answer stay as they are."""
    return _encoder.encode(record)


def believed(identity: str, name: str, value: bytes) -> Record | None:
    """What was read, if one of our processes wrote it for this key in front of this database; else None.

    A reply to another question, a value cut short or changed by hand, and one of another database are none.
    """
    try:
        found = _decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    if found.name != name or found.seal != _seal(identity, found.name, found.digest, found.token, bytes(found.answer)):
        return None
    return found


def _seal(identity: str, name: str, digest: str, token: str, answer: bytes) -> str:
    keyed = blake2b(key=identity.encode()[:64], digest_size=16)
    for part in (name.encode(), digest.encode(), token.encode(), answer):
        keyed.update(b"%d:" % len(part))
        keyed.update(part)
    return keyed.hexdigest()
