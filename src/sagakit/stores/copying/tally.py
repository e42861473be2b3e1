"""How many rows a table has, and a digest of all of them that does not depend on their order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

from msgspec import msgpack

from sagakit.stores.copying.tables import Row

_BYTES = 16


@dataclass
class Tally:
    """The sum of the rows' digests: equal rows, as often, in any order, give the same."""

    rows: int = 0
    _sum: int = 0

    def add(self, rows: Iterable[Row]) -> None:
        """Count these rows too."""
        encode = msgpack.Encoder().encode
        for row in rows:
            self._sum += int.from_bytes(blake2b(encode(row), digest_size=_BYTES).digest(), "big")
            self.rows += 1

    @property
    def digest(self) -> str:
        """32 hexadecimal digits."""
        return f"{self._sum % (1 << 8 * _BYTES):0{2 * _BYTES}x}"
