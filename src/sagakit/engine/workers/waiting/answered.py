"""An event as it is sent to those at other workers who wait for it."""

from __future__ import annotations

import msgspec
from msgspec import Struct


class Answered(Struct, array_like=True, gc=False):
    """The awaited event of a story."""

    story: str
    type: str
    version: int
    payload: msgspec.Raw

    def word(self) -> str:
        """As it is sent."""
        return msgspec.json.encode(self).decode()


read = msgspec.json.Decoder(Answered).decode
"""An event, from the word that tells it."""
