"""Finds in a store what a reader asks for by name: an instance by its id or key, its history, what is outstanding."""

from __future__ import annotations

from sagakit.core.commit import Delivery, History, Instance
from sagakit.core.queries import DeliveryQuery, InstanceQuery, Listed
from sagakit.core.streams import lane_name
from sagakit.errors import NotFound
from sagakit.ports import Store

PAGE = 1_000


async def find_instance(store: Store, id: str) -> Listed:
    """The instance of an id, or the only one of a key. Raises NotFound."""
    row, search = await store.read_instance(id), await store.read_search(id)
    if row is not None and search is not None:
        return Listed(row, search)
    found = await store.read_instances(InstanceQuery(key=id, limit=2))
    if len(found) == 1:
        return found[0]
    if found:
        raise NotFound(f"several processes have the key {id}: name one by its id")
    raise NotFound(f"there is no process {id}")


async def whole_history(store: Store, id: str) -> list[History]:
    """All reactions of an instance."""
    history: list[History] = []
    while page := await store.read_history(id, after=history[-1].version if history else 0, limit=PAGE):
        history += page
    return history


async def outstanding(store: Store, row: Instance) -> list[Delivery]:
    """What is still to be handled by an instance, and of its commands; the first thousand of each."""
    lane = lane_name(row.type, row.id)
    own = await store.find_deliveries(DeliveryQuery(lane=lane, limit=PAGE))
    sent = await store.find_deliveries(DeliveryQuery(sender=lane, limit=PAGE))
    return sorted({one.id: one for one in (*own, *sent)}.values(), key=lambda one: one.id)
