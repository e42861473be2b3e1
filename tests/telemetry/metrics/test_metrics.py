"""What is counted of an engine."""

from __future__ import annotations

import pytest
from tests.acceptance.orders.messages import PlaceOrder
from tests.acceptance.orders.processes import PROCESS, order_app
from tests.acceptance.orders.world import World
from tests.each_store import ON_EACH_STORE
from tests.engine.house import Counting, House, moved, moving
from tests.engine.stage import Ask, Stage, asking_app, until
from tests.telemetry.reading import counted

from sagakit import Busy, KeyReused
from sagakit.engine.limits import Limits
from sagakit.telemetry import Telemetry
from sagakit.testing import manual

pytestmark = ON_EACH_STORE


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store of a busy machine answers late, and what it holds is counted all the same."""
    monkeypatch.setattr("sagakit.engine.observing.store_answers.PATIENCE", 30.0)


async def placed(way: str, world: World, seconds: float = 0) -> dict[str, float]:
    """What is counted when one order has gone its way."""
    telemetry = Telemetry()
    async with manual.engine(order_app(way), provide={World: world}, observer=telemetry) as running:
        await running.send(PlaceOrder("a", 1))
        await running.settle()
        await running.advance(seconds=seconds)
        return await counted(telemetry)


def steps(found: dict[str, float], name: str = "steps_total") -> dict[str, str]:
    """How each command came out, by its name."""
    prefix = f'sagakit_{name}{{command="orders.'
    outcomes: dict[str, str] = {}
    for sample, value in found.items():
        if sample.startswith(prefix) and value:
            command, _, rest = sample.removeprefix(prefix).partition('"')
            assert f'process="{PROCESS}"' in rest
            outcomes[command] = rest.split('outcome="')[1].partition('"')[0]
    return outcomes


@pytest.mark.parametrize("way", ["code", "steps"])
async def test_a_saga_that_is_undone(way: str) -> None:
    found = await placed(way, World(ship="refused"))
    assert found[f'sagakit_processes_started_total{{process="{PROCESS}"}}'] == 1
    assert found[f'sagakit_processes_settled_total{{cause="refused",end="compensated",process="{PROCESS}"}}'] == 1
    assert found[f'sagakit_process_duration_seconds_count{{end="compensated",process="{PROCESS}"}}'] == 1
    assert steps(found) == {"ReserveStock": "succeeded", "ChargePayment": "succeeded", "ShipOrder": "refused"}
    undone = {"RefundPayment": "undone", "ReleaseStock": "undone", "CancelOrder": "undone"}
    assert steps(found, "undos_total") == undone
    assert found['sagakit_door_accepted_total{message="orders.PlaceOrder"}'] == 1


async def test_a_process_manager_judges_its_steps_itself() -> None:
    found = await placed("manager", World(ship="refused"))
    assert found[f'sagakit_processes_settled_total{{cause="refused",end="compensated",process="{PROCESS}"}}'] == 1
    assert steps(found)["ReserveStock"] == "answered"


async def test_a_step_takes_as_long_as_its_retries() -> None:
    found = await placed("code", World(charge=("fails", "fails", "done")), seconds=10)
    assert found['sagakit_deliveries_retried_total{consumer="orders.charge"}'] == 2
    took = (
        f'sagakit_step_duration_seconds_sum{{command="orders.ChargePayment",outcome="succeeded",process="{PROCESS}"}}'
    )
    assert found[took] == pytest.approx(3)
    assert found['sagakit_handler_duration_seconds_count{consumer="orders.charge",outcome="error"}'] == 2
    assert found['sagakit_handler_duration_seconds_count{consumer="orders.charge",outcome="ok"}'] == 1


async def test_an_undo_that_is_given_up() -> None:
    found = await placed("code", World(ship="refused", refund="broken"))
    assert found[f'sagakit_processes_compensation_failed_total{{process="{PROCESS}"}}'] == 1
    assert found['sagakit_deliveries_parked_total{consumer="orders.refund"}'] == 1
    assert found['sagakit_deliveries{consumer="orders.refund",state="parked"}'] == 1
    assert found['sagakit_processes_stuck{status="compensation_failed"}'] == 1
    assert steps(found, "undos_total") == {"RefundPayment": "undo_failed"}


async def test_an_unknown_outcome() -> None:
    found = await placed("code", World(charge="broken after"))
    assert steps(found)["ChargePayment"] == "unknown"


async def test_the_items_of_a_batch_are_steps() -> None:
    telemetry, house = Telemetry(), House()
    house.refuses, house.breaks = frozenset({1}), frozenset({2})
    async with manual.engine(moving(), provide={House: house}, store=Counting(), observer=telemetry) as running:
        await moved(running, 5)
        found = await counted(telemetry)
    counts = {outcome: _items(found, outcome) for outcome in ("succeeded", "refused", "unknown")}
    assert counts == {"succeeded": 3, "refused": 1, "unknown": 1}


def _items(found: dict[str, float], outcome: str) -> float:
    return found[f'sagakit_steps_total{{command="t.Move",outcome="{outcome}",process="t.move_group"}}']


async def test_what_waits_and_how_long() -> None:
    telemetry, stage = Telemetry(), Stage()
    stage.closes(Ask("a", 1))
    async with manual.engine(asking_app(), provide={Stage: stage}, observer=telemetry) as running:
        await running.send(Ask("a", 1))
        await running.send(Ask("a", 2), after=5)
        await until(lambda: stage.now)
        await running.advance(seconds=65)
        found = await counted(telemetry)
        stage.opens(Ask("a", 1))
        await running.settle()
        after = await counted(telemetry)
    assert found['sagakit_deliveries{consumer="t.ask",state="ready"}'] == 2
    assert found['sagakit_oldest_delivery_age_seconds{consumer="t.ask",state="ready"}'] == 65
    assert (found["sagakit_handlers_running"], found["sagakit_unfinished_deliveries"]) == (1, 2)
    assert found["sagakit_timer_lateness_seconds_count"] == 1
    assert found["sagakit_ready"] == 1
    assert 'sagakit_deliveries{consumer="t.ask",state="ready"}' not in after
    assert after["sagakit_commit_size_count"] == after["sagakit_commit_duration_seconds_count"] > 3
    assert after["sagakit_messages_total"] == 4


async def test_what_the_door_refuses() -> None:
    telemetry, stage = Telemetry(), Stage()
    limits, ask = Limits(unfinished=1), Ask("a", 1)
    async with manual.engine(asking_app(), provide={Stage: stage}, limits=limits, observer=telemetry) as running:
        await running.send(ask, idempotency_key="k")
        await running.settle()
        await running.send(ask, idempotency_key="k")
        with pytest.raises(KeyReused):
            await running.send(Ask("b", 1), idempotency_key="k")
        stage.closes(ask)
        await running.send(ask)
        with pytest.raises(Busy):
            await running.send(ask)
        found = await counted(telemetry)
        stage.opens(ask)
    assert found['sagakit_door_accepted_total{message="t.Ask"}'] == 2
    assert found['sagakit_door_repeated_total{message="t.Ask"}'] == 1
    assert found['sagakit_door_refused_total{error="KeyReused",message="t.Ask"}'] == 1
    assert found['sagakit_door_refused_total{error="Busy",message="t.Ask"}'] == 1
    assert found['sagakit_commits_rejected_total{why="repeated"}'] == 2


async def test_labels_hold_no_ids_and_no_keys() -> None:
    telemetry, keys = Telemetry(), [f"order-{number}" for number in range(20)]
    async with manual.engine(order_app("code"), provide={World: World()}, observer=telemetry) as running:
        for key in keys:
            await running.send(PlaceOrder(key, 1))
        await running.settle()
        found = await counted(telemetry)
    assert not [sample for sample in found if any(key in sample for key in keys)]
    assert len([sample for sample in found if sample.startswith("sagakit_") and "_bucket" not in sample]) < 70
