"""What workers have written into partitions that were not theirs, however late it was committed.

Rows of a transaction appear when it commits, and not in the order of their numbers. So each read asks for what the
one before could not see, by its snapshot: the transactions that were under way then, and all that came after. One
that goes on for hours costs nothing but itself.

The server is asked by partition alone, of whichever consumer: hundreds of pairs of both would cost more at each read
than the few rows of other workers' consumers do, which are passed over here.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from sagakit.core.cluster.members import Owned
from sagakit.core.commit import Delivery
from sagakit.stores.postgres.connection import Connection
from sagakit.stores.postgres.queries import QUERIES
from sagakit.stores.postgres.reading import deliveries

NOTHING = "1:1:"
"""The snapshot that sees nothing."""


class Arrivals:
    """Reads on from where it stood."""

    def __init__(self, snapshot: str = NOTHING) -> None:
        self._snapshot = snapshot
        """What the last read could see, as the server writes it: xmin:xmax:transactions under way below xmax."""
        self._owned: Owned | None = None
        self._partitions = ""
        """Of what is owned, as the server reads it: the driver would look at each number several times."""

    async def read(self, connection: Connection, me: str, owned: Owned) -> list[Delivery]:
        """The deliveries in these partitions by others than `me`, in the order of their ids."""
        if owned is not self._owned:
            self._owned, self._partitions = owned, array(set[int]().union(*owned.values()))
        if self._partitions == array(()):
            return []
        _, beyond, under_way = self._snapshot.split(":")
        given = (beyond, f"{{{under_way}}}", me, self._partitions)
        rows = await connection.fetch(QUERIES["read_arrived"], *given)
        found = list[Delivery]()
        if rows[0][1] is not None:
            for _, group in groupby(rows, key=lambda row: row[1]):
                lines = list(group)
                consumer, partition = lines[0][2], lines[0][11]
                if partition in owned.get(consumer, ()):
                    found.append(deliveries.delivery_of([line[1:] for line in lines]))
        self._snapshot = rows[0][0]
        return found


def array(numbers: Iterable[int]) -> str:
    """Numbers as the server writes an array."""
    return f"{{{','.join(map(str, numbers))}}}"
