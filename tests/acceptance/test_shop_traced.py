"""The shop with a collector beside it: a compensated order as one trace, and the ways between log, saga and trace."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.acceptance.shop.opened import SETTLED, Opened, in_four_processes, in_one_process, typed
from tests.servers.kafka import broker
from tests.telemetry.reading import samples_of
from tests.telemetry.traces.receiver import Receiver, receiving
from tests.telemetry.traces.tree import Node, drawn, orphans

pytestmark = pytest.mark.long

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
ORDER = {"customer_id": "ann", "items": [{"product_id": "prod_1", "quantity": 1, "price": 600.00}]}


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    with receiving() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        monkeypatch.setenv("SAGAKIT_LOG_FORMAT", "json")
        monkeypatch.setenv("SAGAKIT_LOG_LEVEL", "debug")
        yield receiver


def placed(address: str, **headers: str) -> str:
    answer = httpx.post(f"{address}/orders", json=ORDER, headers=headers, timeout=60)
    assert answer.status_code == 201
    id = str(answer.json()["id"])
    status = ""
    while status not in SETTLED:
        status = httpx.get(f"{address}/orders/{id}", headers={"Prefer": "wait=10"}, timeout=60).json()["status"]
    assert status == "CANCELLED"
    return id


def steps(found: list[Node]) -> list[str]:
    """What the saga sent, in order."""
    (start,) = [node for node in found if node.name == "start orders.fulfil_order"]
    below = sorted((node for node in found if node.parent_id == start.span_id), key=lambda node: node.began)
    return [node.name for node in below if node.kind == "consumer"]


@pytest.mark.parametrize("opened", [in_one_process, in_four_processes])
def test_a_compensated_order_is_one_tree(opened: Opened, tmp_path: Path, collector: Receiver) -> None:
    with opened(tmp_path) as shop:
        placed(shop.address, traceparent=f"00-{TRACE}-{CALLER}-01")
        collector.wait("POST /orders", "orders.fulfil_order compensated", "undo orders.CancelOrder")
        shop.end()
        found = collector.wait_until(lambda nodes: not orphans(nodes, [CALLER]))
    if os.environ.get("SAGAKIT_SHOW_TRACE"):
        print("\n" + drawn(found, times=True))
    assert {node.trace_id for node in found} == {TRACE}
    assert orphans(found, [CALLER]) == []
    servers = [node for node in found if node.kind == "server"]
    (server,) = [node for node in servers if node.parent_id == CALLER]
    assert server.name == "POST /orders"
    assert (server.attributes["http.route"], server.attributes["http.response.status_code"]) == ("/orders", 201)
    if opened is in_four_processes:
        by_id = {node.span_id: node for node in found}
        (sent,) = [node for node in found if node.name == "send payments.ChargePayment"]
        answered = by_id[sent.parent_id]
        called = by_id[answered.parent_id]
        assert answered.name == called.name == "payment.v1.Payment/Charge"
        assert (called.kind, answered.kind) == ("client", "server")
    else:
        assert servers == [server]
    sent = steps(found)
    undone = [name for name in sent if name.startswith("undo ")]
    assert sent[:2] == ["process inventory.ReserveStock", "process payments.ChargePayment"]
    assert undone == ["undo inventory.ReleaseStock", "undo orders.CancelOrder"]
    assert any(node.attributes.get("db.system.name") == "sqlite" for node in found)


def test_over_topics_it_is_one_tree_too(tmp_path: Path, collector: Receiver) -> None:
    """Where a record is written, where it is taken, and what is done there stand below one another."""
    (tmp_path / "broker").mkdir()
    with broker(tmp_path / "broker") as kafka, in_four_processes(tmp_path, "--kafka", kafka.url) as shop:
        placed(shop.address, traceparent=f"00-{TRACE}-{CALLER}-01")
        collector.wait("POST /orders", "orders.fulfil_order compensated", "undo orders.CancelOrder")
        shop.end()
        (listed,) = shop.look("processes", "list", "--trace", TRACE)["items"]
        found = collector.wait_until(lambda nodes: not orphans(nodes, [CALLER]))
    if os.environ.get("SAGAKIT_SHOW_TRACE"):
        print("\n" + drawn(found, times=True))
    assert listed["trace_id"] == TRACE
    assert {node.trace_id for node in found} == {TRACE}
    by_id = {node.span_id: node for node in found}
    taken = [node for node in found if node.attributes.get("messaging.kafka.offset") is not None]
    for node in taken:
        written, topic = by_id[node.parent_id], node.attributes["messaging.destination.name"]
        assert (node.name, node.kind) == (f"process {topic}", "consumer")
        assert (written.name, written.kind) == (f"send {topic}", "producer")
        assert written.attributes["messaging.message.id"] == node.attributes["messaging.message.id"]
    (sent,) = [node for node in found if node.name == "send payments.ChargePayment"]
    assert by_id[sent.parent_id] in taken
    (declined,) = [node for node in found if node.attributes.get("sagakit.outcome") == "refused"]
    assert by_id[declined.parent_id] in taken  # what the answer leads to stands where that was taken


def test_from_a_log_line_to_its_saga_to_its_trace_and_back(
    tmp_path: Path, collector: Receiver, capfd: pytest.CaptureFixture[str]
) -> None:
    with in_one_process(tmp_path) as shop:
        ids = [placed(shop.address), placed(shop.address)]
        collector.wait("orders.fulfil_order compensated")
        shop.end()
        log = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
        line = next(line for line in log if line["event"] == "declined")
        (listed,) = shop.look("processes", "list", "--trace", line["trace_id"])["items"]
        history = shop.look("processes", "history", listed["id"])["items"]
        transitions = shop.look("processes", "log", listed["id"])["items"]
    assert (listed["trace_id"], listed["correlation_id"]) == (line["trace_id"], line["correlation_id"])
    assert (listed["id"], listed["key"]) == (line["instance"], ids[0])
    trace = {node.span_id: node for node in collector.nodes if node.trace_id == line["trace_id"]}
    run = trace[line["span_id"]]
    assert run.attributes["sagakit.instance"] == listed["id"]
    assert run.attributes["messaging.message.id"] == line["message_id"]
    assert all(entry["trace_id"] == line["trace_id"] and entry["span_id"] in trace for entry in history)
    (refused,) = [one for one in transitions if one["step"] == "payments.ChargePayment"]
    assert (refused["status"], refused["span_id"]) == ("COMPENSATING", line["span_id"])
    assert transitions[-1]["status"] == "COMPENSATED"


def test_the_shop_is_measured(tmp_path: Path) -> None:
    ended = 'sagakit_processes_settled_total{cause="refused",end="compensated",process="orders.fulfil_order"}'
    with in_one_process(tmp_path) as shop:
        placed(shop.address)
        found: dict[str, float] = {}
        while ended not in found:  # its saga ends after the order
            found = samples_of(httpx.get(f"{shop.address}/metrics", timeout=60).text)
        assert typed(shop.curl(0)).status_code == 201
    assert found[ended] == 1
