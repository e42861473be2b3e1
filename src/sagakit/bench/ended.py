"""Whether every saga ended as it must, by what the store says."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator

from sagakit.bench.orders import COMPENSATED, COMPLETED, ORDER
from sagakit.bench.sizes import BenchFailed
from sagakit.core.queries import InstanceQuery, Listed
from sagakit.ports import Store

PAGE = 1_000


async def newest_instance(store: Store) -> int:
    """The number of the newest instance, 0 if there is none."""
    page = await store.read_instances(InstanceQuery(limit=1))
    return page[0].row.number if page else 0


async def statuses(store: Store, process: str, after: int = 0) -> Counter[str]:
    """How many instances with a number above `after` stand how."""
    return Counter([one.row.status async for one in _instances(store, process, after)])


async def check_ends(store: Store, *, after: int, completed: int, compensated: int) -> None:
    """So many orders ended well and so many were undone, and none else; one story of each is whole."""
    found = await statuses(store, ORDER, after)
    wanted = Counter({"completed": completed, "compensated": compensated})
    if found != +wanted:
        raise BenchFailed(f"{_counted(wanted)} orders were to be in the store; there are {_counted(found)}")
    for status, story in (("completed", COMPLETED), ("compensated", COMPENSATED)):
        await _check_story(store, status, story, wanted[status])


async def _check_story(store: Store, status: str, story: tuple[str, ...], wanted: int) -> None:
    if not wanted:
        return
    newest = (await store.read_instances(InstanceQuery(type=ORDER, status=status, limit=1)))[0]
    messages = await store.read_story(newest.search.correlation_id)
    found = tuple(message.type.removeprefix("bench.") for message in messages)
    if found != story:
        raise BenchFailed(f"a {status} order was to lead to {', '.join(story)}; the log has {', '.join(found)}")


async def _instances(store: Store, process: str, after: int) -> AsyncIterator[Listed]:
    before: int | None = None
    while page := await store.read_instances(InstanceQuery(type=process, limit=PAGE, after=before)):
        for one in page:
            if one.row.number <= after:
                return
            yield one
        before = page[-1].row.number


def _counted(statuses: Counter[str]) -> str:
    return ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()) if count) or "none"
