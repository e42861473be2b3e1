"""What workers have written into partitions that were not theirs, however late it was committed.

Rows of a transaction appear when it commits, and not in the order of their numbers. So each read goes back to the
oldest transaction that was still under way at the read before, and passes over what it has read already.

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


class Arrivals:
    """Reads on from where it stood."""

    def __init__(self, since: int = 0) -> None:
        self._since = since
        """All transactions before this one had ended at the last read."""
        self._read: dict[int, int] = {}
        """What was read already of later ones: delivery and transaction."""
        self._owned: Owned | None = None
        self._partitions = ""
        """Of what is owned, as the server reads it: the driver would look at each number several times."""

    async def read(self, connection: Connection, me: str, owned: Owned) -> list[Delivery]:
        """The deliveries in these partitions by others than `me`, in the order of their ids."""
        if owned is not self._owned:
            self._owned, self._partitions = owned, array(set[int]().union(*owned.values()))
        if self._partitions == array(()):
            return []
        given = (self._since, me, self._partitions, array(self._read))
        rows = await connection.fetch(QUERIES["read_arrived"], *given)
        settled, found = rows[0][0], list[Delivery]()
        new: dict[int, int] = {}
        if rows[0][1] is not None:
            for id, group in groupby(rows, key=lambda row: row[2]):
                lines = list(group)
                consumer, partition = lines[0][3], lines[0][12]
                if partition in owned.get(consumer, ()):
                    new[id] = lines[0][1]
                    found.append(deliveries.delivery_of([line[2:] for line in lines]))
        self._read = {id: xid for id, xid in (self._read | new).items() if xid >= settled}
        self._since = settled
        return found


def array(numbers: Iterable[int]) -> str:
    """Numbers as the server writes an array."""
    return f"{{{','.join(map(str, numbers))}}}"
