from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.cli import stories
from tests.cli.conftest import Sagakit

from sagakit import App, Saga


@dataclass(frozen=True)
class Bought:
    id: str
    customer: str
    total: int


def searched() -> App:
    orders = App("orders")

    @orders.saga(key="id", attributes=("customer", "total"))
    async def order(bought: Bought, saga: Saga) -> None: ...

    return orders


def test_a_list_on_a_pipe_has_a_line_for_each(sagakit: Sagakit, shop_db: Path) -> None:
    said = sagakit("processes", "list", "--db", shop_db)
    assert said.code == 0
    assert said.out == (
        "ID                                TYPE                 KEY      STATUS               STARTED (UTC)        "
        "NOW\n"
        "a5cd78d1478f64a0a780801b9f6ef616  hotel.GroupCheckout  group-7  running              2026-11-21 12:04:00\n"
        "209323f7fe89b9adf81776d7a5daf1ec  orders.fulfil_order  order-4  compensation_failed  2026-11-21 12:03:00  "
        "waits for a person: an undo was given up\n"
        "70f59bc8963f3c42ad7bfc4f0a25dacd  orders.fulfil_order  order-3  running              2026-11-21 12:02:00  "
        "waits for payments.ChargePayment\n"
        "eff471bcf9465bd6263cc9bef70b769d  orders.fulfil_order  order-2  compensated          2026-11-21 12:01:00  "
        "refused: the shop has closed\n"
        "a2b75aeb4d5094bf057becf45b6e87e1  orders.fulfil_order  order-1  completed            2026-11-21 12:00:00\n"
    )
    assert said.err == ""


def test_a_list_that_is_wider_than_the_terminal_has_two_lines_for_each(on_terminal: Sagakit, shop_db: Path) -> None:
    said = on_terminal("processes", "list", "--db", shop_db, "--type", "orders.fulfil_order")
    assert (
        said.out
        == """\
209323f7fe89b9adf81776d7a5daf1ec  orders.fulfil_order  compensation_failed
  2026-11-21 12:03:00 UTC  order-4  waits for a person: an undo was given up
70f59bc8963f3c42ad7bfc4f0a25dacd  orders.fulfil_order  running
  2026-11-21 12:02:00 UTC  order-3  waits for payments.ChargePayment
eff471bcf9465bd6263cc9bef70b769d  orders.fulfil_order  compensated
  2026-11-21 12:01:00 UTC  order-2  refused: the shop has closed
a2b75aeb4d5094bf057becf45b6e87e1  orders.fulfil_order  completed
  2026-11-21 12:00:00 UTC  order-1
"""
    )


def test_a_list_that_fits_the_terminal_is_a_table(on_terminal: Sagakit, shop_db: Path) -> None:
    said = on_terminal("processes", "list", "--db", shop_db, "--key", "order-1")
    assert (
        said.out
        == """\
ID                                TYPE                 KEY      STATUS     STARTED (UTC)        NOW
a2b75aeb4d5094bf057becf45b6e87e1  orders.fulfil_order  order-1  completed  2026-11-21 12:00:00
"""
    )


@pytest.mark.parametrize(
    ("filters", "keys"),
    [
        ([], ["group-7", "order-4", "order-3", "order-2", "order-1"]),
        (["--status", "running"], ["group-7", "order-3"]),
        (["--status", "running", "--type", stories.FULFIL], ["order-3"]),
        (["--key", "order-2"], ["order-2"]),
        (["--trace", "4bf92f3577b34da6a3ce929d0e0e4736"], ["order-3"]),
        (["--type", "nobody.is_this"], []),
    ],
)
def test_filters(sagakit: Sagakit, shop_db: Path, filters: list[str], keys: list[str]) -> None:
    page = sagakit("processes", "list", "--db", shop_db, "--json", *filters).json
    assert [item["key"] for item in page["items"]] == keys
    assert page["next"] is None


def test_pages_join_without_gap_or_repeat(sagakit: Sagakit, shop_db: Path) -> None:
    keys: list[str] = []
    after: list[str] = []
    while True:
        page = sagakit("processes", "list", "--db", shop_db, "--json", "--limit", 2, *after).json
        keys += [item["key"] for item in page["items"]]
        if page["next"] is None:
            break
        after = ["--next", page["next"]]
    assert keys == ["group-7", "order-4", "order-3", "order-2", "order-1"]


def test_a_page_says_how_to_go_on(sagakit: Sagakit, shop_db: Path) -> None:
    said = sagakit("processes", "list", "--db", shop_db, "--limit", 2)
    assert said.err == "there is more: --next 4\n"
    assert "order-3" in sagakit("processes", "list", "--db", shop_db, "--next", 4).out


def test_no_process_is_no_error(sagakit: Sagakit, shop_db: Path) -> None:
    said = sagakit("processes", "list", "--db", shop_db, "--key", "nobody")
    assert (said.code, said.out, said.err) == (0, "", "no process\n")


def test_a_process_as_json(sagakit: Sagakit, shop_db: Path) -> None:
    (item,) = sagakit("processes", "list", "--db", shop_db, "--json", "--key", "order-3").json["items"]
    assert item == {
        "id": "70f59bc8963f3c42ad7bfc4f0a25dacd",
        "type": "orders.fulfil_order",
        "key": "order-3",
        "status": "running",
        "state": "payments.ChargePayment",
        "cause": None,
        "reason": None,
        "waiting_for": ["payments.ChargePayment"],
        "progress": [],
        "started_at": "2026-11-21T12:02:00.000000Z",
        "updated_at": "2026-11-21T12:02:00.010000Z",
        "ended_at": None,
        "correlation_id": "29e9aaeb5434035084af4b570a90966d",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "definition": 1,
        "version": 2,
        "attributes": {},
    }


def test_show_a_compensated_one(on_terminal: Sagakit, shop_db: Path) -> None:
    said = on_terminal("processes", "show", "eff471bcf9465bd6263cc9bef70b769d", "--db", shop_db)
    assert (
        said.out
        == """\
orders.fulfil_order  order-2  compensated
  id           eff471bcf9465bd6263cc9bef70b769d
  cause        refused: the shop has closed
  started      2026-11-21 12:01:00 UTC
  ended        2026-11-21 12:01:00 UTC, after 32 ms
  correlation  aa4fec79e348cdb9e3429c38567729be
  definition   version 1, 7 reactions so far

#  COMMAND                 LED TO                      UNDONE BY
   the process as a whole                              orders.CancelOrder
1  inventory.ReserveStock  inventory.StockReserved     inventory.ReleaseStock
2  payments.ChargePayment  payments.PaymentCharged     payments.RefundPayment
3  orders.ConfirmOrder     orders.ConfirmationRefused
"""
    )


def test_show_one_that_retries(on_terminal: Sagakit, shop_db: Path) -> None:
    said = on_terminal("processes", "show", "order-3", "--db", shop_db)
    assert (
        said.out
        == """\
orders.fulfil_order  order-3  running
  id           70f59bc8963f3c42ad7bfc4f0a25dacd
  waits for    payments.ChargePayment
  started      2026-11-21 12:02:00 UTC
  changed      2026-11-21 12:02:00 UTC
  correlation  29e9aaeb5434035084af4b570a90966d
  trace        4bf92f3577b34da6a3ce929d0e0e4736
  definition   version 1, 2 reactions so far

#  COMMAND                 LED TO                   UNDONE BY
1  inventory.ReserveStock  inventory.StockReserved  (inventory.ReleaseStock)
2  payments.ChargePayment  no answer yet            (payments.RefundPayment)
(...) is recorded, and not sent so far

Still to be handled
  payments.ChargePayment  retrying until 2026-11-21 12:03:00 UTC, attempt 3, by payments.charge
    ConnectionError: the card network is down
"""
    )


def test_show_one_that_waits_for_a_person(on_terminal: Sagakit, shop_db: Path) -> None:
    said = on_terminal("processes", "show", "order-4", "--db", shop_db)
    assert "  state        undoing payments.ChargePayment\n  waits for    a person: an undo was given up\n" in said.out
    assert said.out.endswith("""\
#  COMMAND                 LED TO                      UNDONE BY
   the process as a whole                              (orders.CancelOrder)
1  inventory.ReserveStock  inventory.StockReserved     (inventory.ReleaseStock)
2  payments.ChargePayment  payments.PaymentCharged     payments.RefundPayment, failed: GatewayDown:
                                                       no answer for a day
3  orders.ConfirmOrder     orders.ConfirmationRefused
(...) is recorded, and not sent so far

Still to be handled
  payments.RefundPayment  parked, attempt 8, by payments.refund
    GatewayDown: no answer for a day
""")


def test_show_a_process_manager(sagakit: Sagakit, shop_db: Path) -> None:
    said = sagakit("processes", "show", "group-7", "--db", shop_db)
    assert "  waits for    hotel.CheckOut, hotel.CheckOut\n" in said.out
    assert said.out.count("no answer yet") == 2


def test_show_as_json_has_steps_and_deliveries(sagakit: Sagakit, shop_db: Path) -> None:
    shown = sagakit("processes", "show", "order-4", "--db", shop_db, "--json").json
    assert shown["status"] == "compensation_failed"
    whole, reserved, charged, refused = shown["steps"]
    assert whole["command"] is None
    assert whole["planned_undo"] == "orders.CancelOrder"
    assert reserved["state"] == "succeeded"
    assert reserved["planned_undo"] == "inventory.ReleaseStock"
    assert charged["undo"]["answer"] == {"events": [], "failed": "GatewayDown: no answer for a day"}
    assert refused["command"]["answer"] == {"events": ["orders.ConfirmationRefused"], "failed": None}
    (parked,) = shown["deliveries"]
    assert (parked["message"], parked["state"], parked["attempt"]) == ("payments.RefundPayment", "parked", 8)
    assert parked["error"] == "GatewayDown: no answer for a day"


def test_an_unknown_process(sagakit: Sagakit, shop_db: Path) -> None:
    said = sagakit("processes", "show", "order-9", "--db", shop_db)
    assert (said.code, said.out) == (1, "")
    assert said.err == "sagakit: there is no process order-9: sagakit processes list shows them\n"


def test_a_key_that_several_have(sagakit: Sagakit, tmp_path: Path) -> None:
    db = stories.write(tmp_path / "two.db", [stories.completed("one"), stories.checkout("one")])
    said = sagakit("processes", "history", "one", "--db", db)
    assert said.code == 1
    assert (
        said.err
        == "sagakit: several processes have the key one: name one by its id: sagakit processes list shows them\n"
    )


def test_history(on_terminal: Sagakit, shop_db: Path) -> None:
    said = on_terminal("processes", "history", "order-2", "--db", shop_db)
    assert (
        said.out
        == """\
orders.fulfil_order  order-2  compensated
from 2026-11-21 12:01:00 UTC

#   RECORDED      TOOK                        SENT
1   12:01:00.002  orders.OrderPlaced
2   12:01:00.005                              inventory.ReserveStock
3   12:01:00.007  inventory.StockReserved                             answers 2
4   12:01:00.010                              payments.ChargePayment
5   12:01:00.012  payments.PaymentCharged                             answers 4
6   12:01:00.015                              orders.ConfirmOrder
7   12:01:00.017  orders.ConfirmationRefused                          answers 6: the shop has closed
8   12:01:00.020                              payments.RefundPayment  undoes 4
9   12:01:00.022  payments.PaymentRefunded                            answers 8
10  12:01:00.025                              inventory.ReleaseStock  undoes 2
11  12:01:00.027  inventory.StockReleased                             answers 10
12  12:01:00.030                              orders.CancelOrder      undoes the process
13  12:01:00.032  orders.OrderCancelled                               answers 12
"""
    )


def test_history_as_json_shows_the_undos_in_lifo_order(sagakit: Sagakit, shop_db: Path) -> None:
    items = sagakit("processes", "history", "order-2", "--db", shop_db, "--json").json["items"]
    assert [item["ordinal"] for item in items] == list(range(1, 14))
    ordinals = {item["id"]: item["ordinal"] for item in items}
    undone = [ordinals[item["undoes"]] for item in items if item["undoes"] is not None]
    assert undone == [4, 2]
    assert [item["undoes_process"] for item in items].index(True) == 11
    sent = items[1]
    assert {name: sent[name] for name in ("kind", "message", "direction", "reaction", "causation_id", "payload")} == {
        "kind": "command",
        "message": "inventory.ReserveStock",
        "direction": "out",
        "reaction": 1,
        "causation_id": items[0]["id"],
        "payload": {"order_id": "order-2"},
    }
    assert sent["recorded_at"] == "2026-11-21T12:01:00.005000Z"


def test_pages_of_a_history_go_on_counting(sagakit: Sagakit, shop_db: Path) -> None:
    whole = sagakit("processes", "history", "order-2", "--db", shop_db, "--json").json["items"]
    items: list[object] = []
    after: list[str] = []
    while True:
        page = sagakit("processes", "history", "order-2", "--db", shop_db, "--json", "--limit", 3, *after).json
        items += page["items"]
        if page["next"] is None:
            break
        after = ["--after", page["next"]]
    assert items == whole


@pytest.mark.parametrize("token", ["x", "", "1.2.3", "-1"])
def test_a_token_that_is_none(sagakit: Sagakit, shop_db: Path, token: str) -> None:
    said = sagakit("processes", "list", "--db", shop_db, f"--next={token}")
    assert said.code == 2
    assert said.err == f"sagakit: --next {token}: no page came with that token\n"


def test_what_users_write_cannot_steer_the_terminal(sagakit: Sagakit, tmp_path: Path) -> None:
    db = stories.write(tmp_path / "evil.db", [stories.completed("a\x1b[2Jb\n[bold]c")])
    said = sagakit("processes", "list", "--db", db)
    assert "a\\x1b[2Jb [bold]c  completed" in said.out


@pytest.mark.parametrize(
    ("filters", "keys"),
    [
        (["customer=c-1"], ["o-2", "o-1"]),
        (["customer=c-1", "total=12"], ["o-1"]),
        (["customer=c-3"], []),
        (["total=1=2"], []),
    ],
)
def test_filters_by_attribute(sagakit: Sagakit, tmp_path: Path, filters: list[str], keys: list[str]) -> None:
    db = tmp_path / "attributes.db"

    async def place() -> None:
        async with searched().engine(f"sqlite:///{db}") as engine:
            for number, customer in enumerate(("c-1", "c-1", "c-2"), 1):
                await engine.publish(Bought(f"o-{number}", customer, number * 12))
                await engine.wait("orders.order", f"o-{number}", timeout=60)

    asyncio.run(place())
    options = [part for one in filters for part in ("--attribute", one)]
    items = sagakit("processes", "list", "--db", db, "--json", *options).json["items"]
    assert [item["key"] for item in items] == keys
    assert all(item["attributes"]["customer"] == "c-1" for item in items)


def test_an_attribute_that_is_none(sagakit: Sagakit, shop_db: Path) -> None:
    said = sagakit("processes", "list", "--db", shop_db, "--attribute", "city")
    assert said.code != 0
    assert "--attribute city: write NAME=VALUE" in said.err


def test_the_saga_log_has_a_line_for_each_transition(sagakit: Sagakit, shop_db: Path) -> None:
    said = sagakit("processes", "log", "order-2", "--db", shop_db)
    assert said.code == 0
    for status in ("STARTED", "STEP_DONE", "COMPENSATING", "COMPENSATED"):
        assert status in said.out
    lines = sagakit("processes", "log", "order-2", "--db", shop_db, "--json").json["items"]
    assert [line["status"] for line in lines][-1] == "COMPENSATED"
    assert lines[-1]["error"] == "the shop has closed"
