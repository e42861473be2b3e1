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
from sagakit.core.commit import InstanceQuery, Status
from sagakit.demos.shop.inventory.stock import Stock

MOST_COUNTED = 1_000

_TWO_ORDERS = """
Two orders to try, from another terminal. The first is confirmed. The second costs more than may be charged:
what was done for it is undone, last step first, and it is cancelled.

"""
_AFTERWARDS = "What became of them; and the same as sagas, with every step and undo:\n\n"


async def greeting(engine: Engine, address: str, database: Path | None) -> Text:
    """The whole of it. Its keys are fresh, so that its orders are new ones."""
    keys = [f"order-{uuid7().hex[-12:]}" for _ in range(2)]
    text = Text(f"The shop is open at {address}\n\n", "bold")
    for name, value in (await _facts(engine, database)).items():
        text.append(f"  {name:10}", "dim").append(f"{value}\n", "")
    text.append(_TWO_ORDERS, "")
    for key, price in zip(keys, ("50.00", "600.00"), strict=True):
        text.append(f"{_place(address, key, price)}\n\n", "cyan")
    text.append(_AFTERWARDS, "")
    for key in keys:
        text.append(f"curl -s {address}/orders/{stable_id('order', key)}\n", "cyan")
    if database:
        text.append(f"{_sagakit()} processes list --db {shlex.quote(str(database))}\n", "cyan")
    return text


async def _facts(engine: Engine, database: Path | None) -> Mapping[str, str]:
    kept = f"{database} (kept; --fresh starts anew)" if database else "in memory: gone when the shop closes"
    facts = {"stock": await _stock(engine), "database": kept}
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


async def _stock(engine: Engine) -> str:
    try:
        stock = (await engine.load(Stock, ONE)).state
    except NotFound:
        stock = Stock()
    held = {product: sum(units.get(product, 0) for units in stock.held.values()) for product in stock.free}
    return ", ".join(
        f"{product} {free} free" + (f" and {held[product]} held" if held[product] else "")
        for product, free in stock.free.items()
    )


def _place(address: str, key: str, price: str) -> str:
    body = f'{{"customer_id": "ann", "items": [{{"product_id": "prod_1", "quantity": 1, "price": {price}}}]}}'
    return f"curl -si {address}/orders -H 'X-Idempotency-Key: {key}' -H 'Content-Type: application/json' -d '{body}'"


def _sagakit() -> str:
    """The command as this process was started, so that it can be typed."""
    if shutil.which("sagakit"):
        return "sagakit"
    if Path(sys.argv[0]).name == "sagakit":
        return sys.argv[0]
    python = Path(sys.executable)
    return f"{python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else python} -m sagakit"
