"""What workers have written into partitions that were not theirs, however late it was committed.

Rows of a transaction appear when it commits, and not in the order of their numbers. So each read goes back to the
oldest transaction that was still under way at the read before, and passes over what it has read already.
"""

from __future__ import annotations

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

    async def read(self, connection: Connection, me: str, owned: Owned) -> list[Delivery]:
        """The deliveries in these partitions by others than `me`, in the order of their ids."""
        if not any(owned.values()):
            return []
        rows = await connection.fetch(QUERIES["read_arrived"], self._since, me, *deliveries.pairs(owned))
        settled = rows[0][0]
        new = {id: xid for _, id, xid in rows if id is not None and id not in self._read}
        found = await deliveries.read(connection, deliveries.SOME, list(new)) if new else []
        self._read = {id: xid for id, xid in (self._read | new).items() if xid >= settled}
        self._since = settled
        return found
