"""A small shop for tests of the operator's hands: a saga of two steps and a wait, and a world that can fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.each_store import new_store

from sagakit import App, Context, Retry, Saga
from sagakit.core.commit import Delivery, Instance, Search
from sagakit.core.queries import DeliveryQuery
from sagakit.core.streams import instance_id
from sagakit.ports import Store
from sagakit.testing.manual import ManualEngine, engine

WHO = {"by": "ada", "reason": "by hand"}


@dataclass(frozen=True)
class Placed:
    key: str = "a"


@dataclass(frozen=True)
class Reserve:
    key: str


@dataclass(frozen=True)
class Reserved:
    key: str
    place: str = "shelf"


@dataclass(frozen=True)
class SoldOut:
    key: str
    reason: str = "sold out"


@dataclass(frozen=True)
class Release:
    key: str
    reason: str = ""


@dataclass(frozen=True)
class Charge:
    key: str


@dataclass(frozen=True)
class Charged:
    key: str


@dataclass(frozen=True)
class Refund:
    key: str


@dataclass(frozen=True)
class Shipped:
    key: str = "a"
    parcel: str = "p"


@dataclass(frozen=True)
class Undone:
    key: str


@dataclass(frozen=True)
class Note:
    """A command from outside."""

    key: str = "a"
    text: str = "hello"


@dataclass(frozen=True)
class Noted:
    key: str
    text: str


@dataclass
class World:
    """What handlers touch: those named in `down` fail."""

    down: set[type] = field(default_factory=set[type])
    calls: Counter[type] = field(default_factory=Counter[type])
    keys: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])

    def call(self, command: Any, key: str) -> None:
        self.calls[type(command)] += 1
        self.keys.append(key)
        if type(command) in self.down:
            raise ConnectionError(f"{type(command).__name__} is down")


RETRY = Retry(2, first=10.0, jitter=0.0)


async def order(placed: Placed, saga: Saga) -> None:
    """Reserve, charge, and wait for the parcel."""
    await saga.do(Reserve(placed.key), then=Reserved, undo=lambda undo: Release(placed.key, undo.reason))
    await saga.do(Charge(placed.key), then=Charged, undo=Refund(placed.key))
    await saga.receive(Shipped)


def handlers(app: App) -> App:
    @app.handles(retry=Retry(None, first=10.0, jitter=0.0))
    async def reserve(command: Reserve, world: World, context: Context) -> Reserved | SoldOut:
        world.call(command, context.idempotency_key)
        return Reserved(command.key)

    @app.handles(retry=Retry(None, first=10.0, jitter=0.0), key="key")
    async def charge(command: Charge, world: World, context: Context) -> Charged:
        world.call(command, context.idempotency_key)
        return Charged(command.key)

    @app.handles(retry=RETRY)
    async def undo(command: Release | Refund, world: World, context: Context) -> Undone:
        world.call(command, context.idempotency_key)
        return Undone(command.key)

    @app.handles(retry=RETRY, key="key")
    async def note(command: Note, world: World, context: Context) -> Noted:
        world.call(command, context.idempotency_key)
        world.notes.append(command.text)
        return Noted(command.key, command.text)

    return app


def shop(code: Callable[..., Any] = order) -> App:
    app = handlers(App("t"))
    app.saga(key="key", name="order", receives=Shipped)(code)
    return app


@asynccontextmanager
async def running(
    world: World, *, app: App | None = None, store: Store | None = None
) -> AsyncIterator[tuple[ManualEngine, Store]]:
    store = store or new_store()
    async with engine(app or shop(), provide={World: world}, store=store) as one:
        yield one, store


def order_id(key: str = "a") -> str:
    return instance_id("t.order", key)


async def placed(one: ManualEngine, key: str = "a", *, seconds: float = 0) -> str:
    """Place an order, and let it go as far as it goes."""
    await one.publish(Placed(key))
    await one.advance(seconds=seconds)
    return order_id(key)


async def row(store: Store, id: str) -> Instance:
    found = await store.read_instance(id)
    assert found is not None
    return found


async def search(store: Store, id: str) -> Search:
    found = await store.read_search(id)
    assert found is not None
    return found


async def only(store: Store, state: Any) -> Delivery:
    (found,) = await store.find_deliveries(DeliveryQuery(state=state))
    return found
