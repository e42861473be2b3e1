"""The shop as a newcomer meets it: what the demo prints is typed, and what it promises is seen."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.acceptance.shop.audit import stock_of
from tests.acceptance.shop.opened import Opened, Shop, in_four_processes, in_one_process, settled, typed

pytestmark = pytest.mark.long

WAYS = (in_one_process, in_four_processes)


def ended(shop: Shop, key: str) -> Any:
    """The saga of an order, once it has ended too."""
    while True:
        (saga,) = shop.look("processes", "list", "--key", key)["items"]
        if saga["status"] not in ("running", "undoing"):
            return saga


@pytest.mark.timeout(300)
@pytest.mark.parametrize("opened", WAYS)
def test_an_order_is_confirmed_and_one_is_undone(opened: Opened, tmp_path: Path) -> None:
    with opened(tmp_path) as shop:
        paid, declined = typed(shop.curl(0)), typed(shop.curl(1))
        assert [(answer.status_code, answer.json()["status"]) for answer in (paid, declined)] == [(201, "PENDING")] * 2
        assert settled(shop.curl(2))["status"] == "CONFIRMED"
        cancelled = settled(shop.curl(3))
        reason = "payment declined: 600.00 is above the limit of 500.00"
        assert (cancelled["status"], cancelled["reason"]) == ("CANCELLED", reason)

        saga = ended(shop, cancelled["id"])
        assert (saga["status"], saga["cause"]) == ("compensated", "refused")
        history = shop.look("processes", "history", saga["id"])["items"]
        sent = [(one["message"], one["id"], one["undoes"]) for one in history if one["kind"] == "command"]
        names = ["inventory.ReserveStock", "payments.ChargePayment", "inventory.ReleaseStock", "orders.CancelOrder"]
        assert [name for name, _, _ in sent] == names
        assert sent[2][2] == sent[0][1], "the release undoes the reservation"

        (served,) = httpx.get(f"{shop.address}/api/v1/processes", params={"key": cancelled["id"]}, timeout=60).json()[
            "items"
        ]
        assert (served["id"], served["status"]) == (saga["id"], "compensated")

        again = typed(shop.curl(0))
        assert (again.status_code, again.content) == (201, paid.content)
        assert len(shop.look("processes", "list")["items"]) == 2
        assert typed(shop.curl(0), data=shop.curl(1)[-1]).status_code == 422
        assert typed(shop.curl(0), data="garbage").status_code == 400
        status, said = shop.end()
    assert status == 0
    lines = [re.sub(r"^\d\d:\d\d:\d\d  ", "", line) for line in said.splitlines() if line[:1].isdigit()]
    undone = [" ".join(line.split()[1:]) for line in lines if line.startswith(cancelled["id"][:8])]
    assert undone == [
        "order placed 1 x prod_1 at 600.00, 600.00 in all, for ann",
        "stock reserved prod_1 14 -> 13 free",
        f"refused {reason}",
        "undo 1: stock released prod_1 13 -> 14 free",
        f"order CANCELLED {reason}",
    ]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("opened", WAYS)
def test_a_restart_says_what_is_left_and_repeats_nothing(opened: Opened, tmp_path: Path) -> None:
    with opened(tmp_path) as shop:
        paid = typed(shop.curl(0))
        assert settled(shop.curl(2))["status"] == "CONFIRMED"
        asked = shop.curl(0)
        shop.end()
    with opened(tmp_path) as shop:
        if opened is in_one_process:
            assert "prod_1 14 free and 1 held" in shop.greeting[2]
        asked = [word if not word.startswith("http") else f"{shop.address}/orders" for word in asked]
        assert typed(asked).content == paid.content
        status, said = shop.end()
        assert status == 0
        assert "order placed" not in said
        held = asyncio.run(stock_of(shop.databases.stock)).held
        assert held == {paid.json()["id"]: {"prod_1": 1}}
    with opened(tmp_path, "--fresh") as shop:
        assert httpx.get(f"{shop.address}/orders/{paid.json()['id']}", timeout=60).status_code == 404
        assert asyncio.run(stock_of(shop.databases.stock)).held == {}


def test_a_second_shop_on_the_same_file_is_refused(tmp_path: Path) -> None:
    with in_one_process(tmp_path) as shop:
        for options in ([], ["--fresh"]):
            command = [
                sys.executable,
                "-m",
                "sagakit",
                "demo",
                "--port",
                "0",
                "--db",
                str(tmp_path / "shop.db"),
                *options,
            ]
            second = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
            assert second.returncode == 1
            assert second.stderr.count("\n") == 1
            assert f"in use by process {shop.process.pid}" in second.stderr
        assert typed(shop.curl(0)).status_code == 201
