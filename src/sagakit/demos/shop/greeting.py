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
from sagakit.demos.shop.inventory.stock import AT_THE_START, Stock
from sagakit.demos.shop.services.wiring import Service

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
    facts = {"stock": _counted(stock), **await _facts(engine, database)}
    return _opening(address, facts) + _to_try(address, product, database, sold_out=not stock.free[product])


async def gateway_greeting(engine: Engine, address: str, database: Path | None, services: Mapping[str, str]) -> Text:
    """The same where the gateway is a process of its own: who knows the stock is another one."""
    facts = {"services": ", ".join(f"{service} at {place}" for service, place in services.items())}
    facts |= await _facts(engine, database)
    return _opening(address, facts) + _to_try(address, next(iter(AT_THE_START)), database)


def service_greeting(engine: Engine, service: Service, answering: str, operating: str, database: Path | None) -> Text:
    """What a process says that only others of the shop speak to."""
    text = Text().append(f"The shop's {service} service is open: {answering}\n\n", "bold")
    return text + _listed({"database": _kept(engine, database), "operators": operating})


def _opening(address: str, facts: Mapping[str, str]) -> Text:
    return Text().append(f"The shop is open at {address}\n\n", "bold") + _listed(facts)


def _listed(facts: Mapping[str, str]) -> Text:
    text = Text()
    for name, value in facts.items():
        text.append(f"  {name:10}", "dim").append(f"{value}\n")
    return text


def _to_try(address: str, product: str, database: Path | None, *, sold_out: bool = False) -> Text:
    keys = [f"order-{uuid7().hex[-12:]}" for _ in range(2)]
    ids = [stable_id("order", key) for key in keys]
    text = Text(_SOLD_OUT if sold_out else _TO_TRY)
    for key, price in zip(keys, ("50.00", "600.00"), strict=True):
        text.append(f"{_place(address, key, product, price)}\n\n", "cyan")
    text.append(_AFTERWARDS)
    for id in ids:
        text.append(f"curl -s {address}/orders/{id}\n", "cyan")
    for looking in (f"list{_named(database)}", f"history {ids[1]}{_named(database)}") if database else ():
        text.append(f"{_sagakit()} processes {looking}\n", "cyan")
    return text


def _kept(engine: Engine, database: Path | None) -> str:
    return kept_where(engine.store, database) or "in memory: gone when the shop closes"


async def _facts(engine: Engine, database: Path | None) -> Mapping[str, str]:
    facts = {"database": _kept(engine, database)}
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
