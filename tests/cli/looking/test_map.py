from __future__ import annotations

from tests.cli.conftest import Sagakit

SHOP = "sagakit.demos.shop.app:shop"


def test_a_map_names_who_does_what(sagakit: Sagakit) -> None:
    lines = [" ".join(line.split()) for line in sagakit("map", SHOP).out.splitlines()]
    assert lines[0] == "MODULE MESSAGE BY"
    assert "sends payments.ChargePayment orders.fulfil_order to payments.charge" in lines
    assert "takes orders.OrderPlaced orders.fulfil_order of orders.Order" in lines
    assert lines[-1] == "nothing leads nowhere"


def test_a_map_as_json(sagakit: Sagakit) -> None:
    found = sagakit("map", SHOP, "--json").json
    assert [module["name"] for module in found["modules"]] == ["orders", "inventory", "payments"]
    assert found["unheard_events"] == found["untreated_refusals"] == []


def test_a_map_as_a_diagram(sagakit: Sagakit) -> None:
    lines = sagakit("map", SHOP, "--mermaid").out.splitlines()
    assert lines[0] == "flowchart LR"
    assert '  subgraph module_payments["payments"]' in lines
    assert '  orders_fulfil_order -->|"ReleaseStock<br/>ReserveStock"| inventory_Stock' in lines
    assert '  orders_Order -.->|"OrderPlaced"| orders_fulfil_order' in lines
    assert not any("orphan" in line for line in lines)


def test_a_map_is_one_thing_at_a_time(sagakit: Sagakit) -> None:
    said = sagakit("map", SHOP, "--json", "--mermaid")
    assert (said.code, said.err) == (2, "sagakit: --json and --mermaid: choose one\n")
