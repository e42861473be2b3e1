from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli import stories
from tests.cli.conftest import Sagakit

from sagakit.core.commit import Commit


def story_of(commit: Commit) -> str:
    return commit.messages[0].correlation_id


def test_a_story_is_a_tree(on_terminal: Sagakit, shop_db: Path) -> None:
    said = on_terminal("messages", "list", "--db", shop_db, "--correlation", story_of(stories.compensated()))
    assert (
        said.out
        == """\
correlation aa4fec79e348cdb9e3429c38567729be, from 2026-11-21 12:01:00 UTC
#   RECORDED (UTC)  KIND     MESSAGE
1   12:01:00.000    command  orders.PlaceOrder
2   12:01:00.002    event    └ orders.OrderPlaced
3   12:01:00.005    command    └ inventory.ReserveStock
4   12:01:00.007    event        └ inventory.StockReserved
5   12:01:00.010    command        └ payments.ChargePayment
6   12:01:00.012    event            └ payments.PaymentCharged
7   12:01:00.015    command            └ orders.ConfirmOrder
8   12:01:00.017    event                └ orders.ConfirmationRefused
9   12:01:00.020    command                └ payments.RefundPayment  undoes 5
10  12:01:00.022    event                    └ payments.PaymentRefunded
11  12:01:00.025    command                    └ inventory.ReleaseStock  undoes 3
12  12:01:00.027    event                        └ inventory.StockReleased
13  12:01:00.030    command                        └ orders.CancelOrder  undoes the process
14  12:01:00.032    event                            └ orders.OrderCancelled
"""
    )


def test_as_json(sagakit: Sagakit, shop_db: Path) -> None:
    story = story_of(stories.compensated())
    page = sagakit("messages", "list", "--db", shop_db, "--correlation", story, "--json").json
    assert page["next"] is None
    assert [item["message"] for item in page["items"]][:3] == [
        "orders.PlaceOrder",
        "orders.OrderPlaced",
        "inventory.ReserveStock",
    ]
    assert page["items"][0]["causation_id"] is None
    assert page["items"][1]["causation_id"] == page["items"][0]["id"]
    assert {item["correlation_id"] for item in page["items"]} == {story}


def test_pages(sagakit: Sagakit, shop_db: Path) -> None:
    story = ["messages", "list", "--db", shop_db, "--correlation", story_of(stories.compensated())]
    whole = sagakit(*story, "--json").json["items"]
    first = sagakit(*story, "--json", "--limit", 5).json
    rest = sagakit(*story, "--json", "--after", first["next"]).json
    assert first["items"] + rest["items"] == whole
    assert rest["next"] is None


def test_a_later_page_names_causes_that_are_not_on_it(sagakit: Sagakit, shop_db: Path) -> None:
    story = ["messages", "list", "--db", shop_db, "--correlation", story_of(stories.compensated())]
    first = sagakit(*story, "--json", "--limit", 5).json
    said = sagakit(*story, "--next", first["next"])
    assert f"payments.PaymentCharged  caused by {first['items'][4]['id']}" in said.out


def test_siblings(sagakit: Sagakit, shop_db: Path) -> None:
    said = sagakit("messages", "list", "--db", shop_db, "--correlation", story_of(stories.checkout()))
    assert [line[28:] for line in said.out.splitlines()[2:]] == [
        "hotel.GroupCheckoutInitiated",
        "├ hotel.CheckOut",
        "└ hotel.CheckOut",
    ]


def test_a_story_too_deep_for_the_screen_goes_on_at_the_left(
    on_terminal: Sagakit, sagakit: Sagakit, tmp_path: Path
) -> None:
    tale = stories.Tale("deep")
    message = tale.event("a.Begun")
    for _ in range(200):
        message = tale.event("a.WentOn", message)
    tale.reacts([message])
    db = stories.write(tmp_path / "deep.db", [tale.commit("completed", stories.SagaRecord())])
    lines = on_terminal("messages", "list", "--db", db, "--correlation", message.correlation_id).out.splitlines()
    assert len(lines) == 2 + 201
    assert [line for line in lines if line.endswith("caused by 19")] == [
        "20   12:00:00.047    event  a.WentOn  caused by 19"
    ]


def test_nothing_known_of_a_story(sagakit: Sagakit, shop_db: Path) -> None:
    said = sagakit("messages", "list", "--db", shop_db, "--correlation", "nobody")
    assert (said.code, said.out, said.err) == (0, "", "no message\n")
    assert sagakit("messages", "list", "--db", shop_db, "--correlation", "nobody", "--json").json == {
        "items": [],
        "next": None,
    }


@pytest.mark.parametrize("token", ["x", "1.2"])
def test_a_token_that_is_none(sagakit: Sagakit, shop_db: Path, token: str) -> None:
    said = sagakit("messages", "list", "--db", shop_db, "--correlation", "x", "--next", token)
    assert said.code == 2
