"""Workers in processes of their own, whose handlers a test holds: each says in the ledger what it does, and who it is.

A worker packs until there is a file of the folder PACKERS by its process id, or one that lets go of all. With DEAF
set it is not told that its lease is over: only what it commits tells it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.ledger import Ledger

from sagakit import App, Context, Saga
from sagakit.engine.workers.owning.heart import Heart
from sagakit.errors import LeaseLost

ALL = "all"


@dataclass(frozen=True)
class SendParcel:
    parcel: str


@dataclass(frozen=True)
class Pack:
    parcel: str


@dataclass(frozen=True)
class Packed:
    parcel: str
    by: int


packers = App("packers")


class Hall:
    """Where they work."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.begun = Ledger(folder / "begun.db")
        """Each run of the handler."""
        self.packed = Ledger(folder / "packed.db")
        """What is done once by key, however often it is asked for."""

    def let_go(self, who: object) -> None:
        """Whoever has this process id packs to the end; ALL: everybody."""
        (self._folder / str(who)).touch()

    def at_work(self, pid: int) -> set[str]:
        """The parcels that this process has begun with."""
        return {run.order_id for run in self.begun.effects() if run.what == str(pid)}

    async def pack(self, parcel: str, key: str) -> int:
        me = os.getpid()
        await self.begun.write(f"{key} {me}", str(me), parcel)
        while not any((self._folder / str(who)).exists() for who in (me, ALL)):
            await asyncio.sleep(0.01)
        await self.packed.write(key, str(me), parcel)
        return me


@packers.provides
def hall() -> Hall:
    return Hall(Path(os.environ["PACKERS"]))


@packers.handles
async def pack(command: Pack, hall: Hall, context: Context) -> Packed:
    return Packed(command.parcel, await hall.pack(command.parcel, context.idempotency_key))


@packers.saga(key="parcel")
async def parcel(asked: SendParcel, saga: Saga) -> None:
    await saga.do(Pack(asked.parcel), then=Packed)


def be_deaf() -> None:
    """The heart of this process keeps it to itself that it beats in vain."""
    tell = Heart._tell

    def quiet(self: Heart, call: Callable[..., None], *given: object) -> None:
        if not isinstance(given[0], LeaseLost):
            tell(self, call, *given)

    Heart._tell = quiet  # type: ignore[method-assign]


if os.environ.get("DEAF"):
    be_deaf()
