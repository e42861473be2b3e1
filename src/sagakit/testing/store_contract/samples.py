"""Messages, deliveries and rows to test a store with."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from itertools import count
from typing import Any, TypeAlias

from sagakit.core.commit import (
    Commit,
    Delivery,
    Envelope,
    Fence,
    Instance,
    InstanceWrite,
    Item,
    ItemState,
    Search,
    Status,
)
from sagakit.ports import Store

MakeStore: TypeAlias = Callable[[], Store]
"""A new store that is not open yet; all of them stand on the same data, which is empty at first."""

_numbers = count(1)


def message(story: str = "story", **fields: Any) -> Envelope:
    """A command that no other test knows."""
    number = next(_numbers)
    return Envelope(f"message-{number}", "command", "shop.PlaceOrder", b'{"order":1}', story, number, **fields)


def full_message(story: str = "story") -> Envelope:
    """A message with every field set."""
    number = next(_numbers)
    return Envelope(
        id=f"message-{number}",
        kind="event",
        type="shop.OrderPlaced",
        payload=bytes(range(256)),
        correlation_id=story,
        recorded_at=1_800_000_000_000_000,
        version=3,
        causation_id="cause",
        sender="instance",
        undoes="",
        trace="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        stream=f"order/{number}",
        stream_version=1,
        expected_version=0,
    )


def event(stream: str, version: int, story: str = "story") -> Envelope:
    """An event of an aggregate."""
    number = next(_numbers)
    return Envelope(
        f"message-{number}",
        "event",
        "shop.OrderPlaced",
        b"{}",
        story,
        number,
        stream=stream,
        stream_version=version,
    )


def delivery(envelope: Envelope, **fields: Any) -> Delivery:
    """A delivery of this message."""
    found: dict[str, Any] = {"consumer": "orders.place", "lane": "orders.place/1"}
    return Delivery(envelope, **(found | fields))


def timer(envelope: Envelope | None = None, due_at: int = 1_000, **fields: Any) -> Delivery:
    """A delivery for later, which carries its message."""
    return delivery(envelope or message(), state="scheduled", due_at=due_at, **fields)


def fired(scheduled: Delivery) -> Commit:
    """The Commit that fires it: its message enters the log, with one delivery of it."""
    envelope = copy(scheduled.envelope)
    return Commit(done=[Fence(scheduled.id, 1)], messages=[envelope], deliveries=[delivery(envelope)])


def item(instance: str, index: int, state: ItemState = "sent", step: int = 1, **fields: Any) -> Item:
    """An item of a batch."""
    return Item(
        instance, step, index, b'{"row":%d}' % index, f"command-{index}", b'["shop.Charge",1,{}]', state, **fields
    )


def sent(**fields: Any) -> Commit:
    """A message with one delivery of it."""
    envelope = message()
    return Commit(messages=[envelope], deliveries=[delivery(envelope, **fields)])


def instance(id: str, version: int = 1, status: Status = "running", number: int = 0) -> Instance:
    """The hot row of an instance."""
    return Instance(id, "shop.fulfil", f"key of {id}", 1, version, status, f'{{"at":{version}}}'.encode(), number)


def search(id: str, **fields: Any) -> Search:
    """What is listed of an instance."""
    found: dict[str, Any] = {
        "type": "shop.fulfil",
        "key": f"key of {id}",
        "status": "running",
        "correlation_id": "story",
        "started_at": 1,
        "updated_at": 2,
    }
    return Search(id, **(found | fields))


def started(id: str, **fields: Any) -> Commit:
    """A new instance with its search row."""
    return Commit(instances=[InstanceWrite(instance(id), 0)], search=[search(id, **fields)])


async def write(store: Store, *commits: Commit) -> None:
    """Write these; all of them must be taken."""
    assert await store.commit(commits) == [None] * len(commits)


async def rejected(store: Store, commit: Commit) -> str | None:
    """Why a Commit alone is dropped, None if it was written."""
    answers = await store.commit([commit])
    assert len(answers) == 1
    return answers[0] and answers[0].why


async def read_all(store: Store) -> list[str]:
    """The ids of the whole log."""
    return [envelope.id for envelope in await store.read_messages(limit=100_000)]
