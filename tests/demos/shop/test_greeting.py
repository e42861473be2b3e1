"""What the shop says when it opens can be typed as it stands."""

import asyncio
import shlex
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from sagakit import Engine
from sagakit.demos.shop.app import shop
from sagakit.demos.shop.greeting import greeting
from sagakit.demos.shop.orders.messages import Item, OrderConfirmed, PlaceOrder
from sagakit.demos.shop.payments.cards import Cards

ADDRESS = "http://127.0.0.1:8080"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


async def lines(engine: Engine, database: Path | None = None) -> list[str]:
    return (await greeting(engine, ADDRESS, database)).plain.splitlines()


async def curl(client: httpx.AsyncClient, line: str) -> httpx.Response:
    words = shlex.split(line)
    url = next(word for word in words if word.startswith(ADDRESS)).removeprefix(ADDRESS)
    if "-d" not in words:
        return await client.get(url)
    headers = dict(value.split(": ") for option, value in pairwise(words) if option == "-H")
    return await client.post(url, content=words[words.index("-d") + 1], headers=headers)


async def test_its_orders_are_placed_as_they_are_written(engine: Engine, client: httpx.AsyncClient) -> None:
    first, second, *asking = [line for line in await lines(engine) if line.startswith("curl")]
    paid, declined = [await curl(client, line) for line in (first, second)]
    assert (paid.status_code, paid.json()["total"]) == (201, 50.0)
    assert (declined.status_code, declined.json()["total"]) == (201, 600.0)
    assert [(await curl(client, line)).json()["id"] for line in asking] == [paid.json()["id"], declined.json()["id"]]


async def test_its_keys_are_fresh(engine: Engine) -> None:
    keys = [line for _ in range(2) for line in await lines(engine) if "Idempotency-Key" in line]
    assert len(set(keys)) == 4


async def test_it_says_where_it_is_and_what_is_left(engine: Engine) -> None:
    place = PlaceOrder("o-1", "ann", (Item("prod_1", 2, Decimal(1)),), NOW)
    before, after = await lines(engine), None
    await engine.send_and_wait(place, until=OrderConfirmed)
    after = await lines(engine)
    assert before[0] == f"The shop is open at {ADDRESS}"
    assert before[2] == "  stock     prod_1 15 free, prod_2 10 free, prod_3 0 free"
    assert after[2] == "  stock     prod_1 13 free and 2 held, prod_2 10 free, prod_3 0 free"
    assert before[3] == "  database  in memory: gone when the shop closes"


async def test_it_offers_what_is_there(engine: Engine) -> None:
    await engine.send_and_wait(PlaceOrder("o-1", "ann", (Item("prod_1", 15, Decimal(1)),), NOW), until=OrderConfirmed)
    assert any("prod_2" in line for line in await lines(engine) if line.startswith("curl"))
    await engine.send_and_wait(PlaceOrder("o-2", "ann", (Item("prod_2", 10, Decimal(1)),), NOW), until=OrderConfirmed)
    assert any("All is sold" in line for line in await lines(engine))


async def test_it_names_a_database_that_is_not_the_usual_one(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    elsewhere = tmp_path / "my shop.db"
    looking = [line for line in await lines(engine, elsewhere) if "processes" in line]
    assert [shlex.split(line)[-2:] for line in looking] == [["--db", str(elsewhere)]] * 2
    looking = [line for line in await lines(engine, tmp_path / "sagakit" / "shop.db") if "processes" in line]
    assert [line for line in looking if "--db" in line] == []


class Away(Cards):
    """A provider that nobody reaches."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def charge(self, order_id: str, amount: Decimal, *, idempotency_key: str) -> str:
        self.asked.set()
        raise ConnectionError("nobody answers")


async def test_what_was_left_unsettled_is_said(tmp_path: Path) -> None:
    for said in (None, "  unsettled 1 order, 0 of them being undone: they go on now"):
        away = Away()
        async with shop.engine(str(tmp_path / "shop.db"), provide={Cards: away}) as engine:
            if said is None:
                await engine.send(PlaceOrder("o-1", "ann", (Item("prod_1", 2, Decimal(1)),), NOW))
                await away.asked.wait()
            else:
                assert (await lines(engine))[4] == said
