"""What the shop says when it opens: where it is, what it has, and what to type."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.text import Text
from uuid_utils import uuid7

from sagakit import ONE, Engine, NotFound, stable_id
from sagakit.core.commit import Status
from sagakit.core.queries import InstanceQuery
from sagakit.demos import database_of
from sagakit.demos.files import kept_where
from sagakit.demos.shop.inventory.stock import Stock

MOST_COUNTED = 1_000

_TO_TRY = """
Two orders to try, from another terminal. The first is confirmed. The second costs more than may be charged:
what was done for it is undone, last step first, and it is cancelled.

"""
_SOLD_OUT = """
Two orders to try, from another terminal. All is sold, so both are cancelled; --fresh starts with a full stock.

"""
_AFTERWARDS = "What became of them; and the same as sagas, with every step and undo of the second:\n\n"


async def greeting(engine: Engine, address: str, database: Path | None) -> Text:
    """The whole of it. Its keys are fresh, so that its orders are new ones."""
    stock = await _stock(engine)
    product = max(stock.free, key=lambda product: stock.free[product])
    keys = [f"order-{uuid7().hex[-12:]}" for _ in range(2)]
    ids = [stable_id("order", key) for key in keys]
    text = Text().append(f"The shop is open at {address}\n\n", "bold")
    for name, value in (await _facts(engine, stock, database)).items():
        text.append(f"  {name:10}", "dim").append(f"{value}\n")
    text.append(_TO_TRY if stock.free[product] else _SOLD_OUT)
    for key, price in zip(keys, ("50.00", "600.00"), strict=True):
        text.append(f"{_place(address, key, product, price)}\n\n", "cyan")
    text.append(_AFTERWARDS)
    for id in ids:
        text.append(f"curl -s {address}/orders/{id}\n", "cyan")
    for looking in (f"list{_named(database)}", f"history {ids[1]}{_named(database)}") if database else ():
        text.append(f"{_sagakit()} processes {looking}\n", "cyan")
    return text


async def _facts(engine: Engine, stock: Stock, database: Path | None) -> Mapping[str, str]:
    kept = kept_where(engine.store, database) or "in memory: gone when the shop closes"
    facts = {"stock": _counted(stock), "database": kept}
    running, undoing = await _count(engine, "running"), await _count(engine, "undoing")
    if running + undoing:
        facts["unsettled"] = f"{_orders(running + undoing)}, {undoing} of them being undone: they go on now"
    if waiting := await _count(engine, "parked") + await _count(engine, "compensation_failed"):
        facts["stuck"] = f"{_orders(waiting)}: a person is needed, see what processes list says"
    return facts


async def _count(engine: Engine, status: Status) -> int:
    return len(await engine.store.read_instances(InstanceQuery(status=status, limit=MOST_COUNTED)))


def _orders(count: int) -> str:
    """A count in words."""
    return f"{MOST_COUNTED} orders or more" if count >= MOST_COUNTED else f"{count} order{'s' if count != 1 else ''}"


async def _stock(engine: Engine) -> Stock:
    try:
        return (await engine.load(Stock, ONE)).state
    except NotFound:
        return Stock()


def _counted(stock: Stock) -> str:
    """The stock in words."""
    held = {product: sum(units.get(product, 0) for units in stock.held.values()) for product in stock.free}
    return ", ".join(
        f"{product} {free} free" + (f" and {held[product]} held" if held[product] else "")
        for product, free in stock.free.items()
    )


def _place(address: str, key: str, product: str, price: str) -> str:
    body = f'{{"customer_id": "ann", "items": [{{"product_id": "{product}", "quantity": 1, "price": {price}}}]}}'
    return f"curl -si {address}/orders -H 'X-Idempotency-Key: {key}' -H 'Content-Type: application/json' -d '{body}'"


def _named(database: Path | None) -> str:
    """The option that names the database, where a reader needs it."""
    return "" if database in (None, database_of("shop")) else f" --db {shlex.quote(str(database))}"


def _sagakit() -> str:
    """The command as this process was started, so that it can be typed."""
    if shutil.which("sagakit"):
        return "sagakit"
    if Path(sys.argv[0]).name == "sagakit":
        return sys.argv[0]
    python = Path(sys.executable)
    return f"{python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else python} -m sagakit"
