"""The spans of an engine's stories, and how they hang together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from opentelemetry.trace import get_current_span
from tests.acceptance.orders.messages import PlaceOrder
from tests.acceptance.orders.processes import PROCESS, order_app
from tests.acceptance.orders.world import World
from tests.each_store import ON_EACH_STORE, Stores, new_store
from tests.telemetry.traces.tree import Collected, Node, drawn, nodes, orphans

from sagakit import App, Context, Saga
from sagakit.core.queries import InstanceQuery
from sagakit.engine.limits import Limits
from sagakit.errors import Busy
from sagakit.telemetry import Telemetry
from sagakit.testing import manual

pytestmark = ON_EACH_STORE

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


async def placed(way: str, world: World, *, seconds: float = 0, trace: str | None = None, key: str = "a") -> list[Node]:
    """The spans of one order that has gone its way."""
    collected = Collected()
    async with manual.engine(order_app(way), provide={World: world}, observer=Telemetry(collected)) as running:
        await running.send(PlaceOrder(key, 1), trace=trace)
        await running.settle()
        await running.advance(seconds=seconds)
    return nodes(collected.spans)


def named(found: list[Node], name: str) -> list[Node]:
    return [node for node in found if node.name == name]


async def test_an_order_that_is_undone_is_one_tree() -> None:
    found = await placed("code", World(ship="refused"))
    assert drawn(found, without=["COMMIT"]).splitlines() == [
        "send orders.PlaceOrder (producer)",
        "└─ process orders.PlaceOrder (consumer)",
        "   └─ start orders.fulfil (internal)",
        "      ├─ orders.fulfil compensated (internal)",
        "      ├─ process orders.ReserveStock (consumer)",
        "      │  └─ react orders.fulfil (internal) = succeeded",
        "      ├─ process orders.ChargePayment (consumer)",
        "      │  └─ react orders.fulfil (internal) = succeeded",
        "      ├─ process orders.ShipOrder (consumer)",
        "      │  └─ react orders.fulfil (internal) = refused",
        "      ├─ undo orders.RefundPayment (consumer)",
        "      │  └─ react orders.fulfil (internal) = undone",
        "      ├─ undo orders.ReleaseStock (consumer)",
        "      │  └─ react orders.fulfil (internal) = undone",
        "      └─ undo orders.CancelOrder (consumer)",
        "         └─ react orders.fulfil (internal) = undone",
    ]


@pytest.mark.parametrize("way", ["code", "steps", "manager"])
async def test_every_parent_is_there_and_all_is_one_trace(way: str) -> None:
    found = await placed(way, World(ship="refused", charge=("fails", "done")), seconds=10, trace=PARENT)
    assert orphans(found, ["b7ad6b7169203331"]) == []
    assert {node.trace_id for node in found} == {TRACE}
    assert len({node.span_id for node in found}) == len(found)
    assert [node.parent_id for node in named(found, "send orders.PlaceOrder")] == ["b7ad6b7169203331"]
    assert all(node.ended >= node.began > 0 for node in found)


async def test_an_attempt_that_failed_says_so_and_that_it_is_tried_again() -> None:
    first, second = named(
        await placed("code", World(charge=("fails", "done")), seconds=10), "process orders.ChargePayment"
    )
    assert (first.error, first.events) == ("charge could not be reached", ("exception", "sagakit.retry"))
    assert (first.attributes["error.type"], first.attributes["sagakit.attempt"]) == ("ConnectionError", 1)
    assert (second.error, second.events, second.attributes["sagakit.attempt"]) == ("", (), 2)


async def test_an_undo_that_is_given_up_parks() -> None:
    found = await placed("code", World(ship="refused", refund="broken"))
    (undo,) = named(found, "undo orders.RefundPayment")
    assert (undo.events, undo.error) == (("exception", "sagakit.parked"), "refund is broken")
    assert "compensation_failed" in [node.attributes.get("sagakit.process.status") for node in found]


async def test_a_step_that_is_given_up_is_told_from_its_last_attempt() -> None:
    found = await placed("code", World(charge="broken"))
    (charge,) = named(found, "process orders.ChargePayment")
    assert charge.events == ("exception", "sagakit.given_up")
    below = [node.attributes.get("sagakit.outcome") for node in found if node.parent_id == charge.span_id]
    assert "unknown" in below


async def test_spans_speak_the_conventions_and_name_no_key(each_store: Stores) -> None:
    found = await placed("code", World(ship="refused"), key="ann@example.org")
    (undo,) = named(found, "undo orders.RefundPayment")
    (charge,) = named(found, "process orders.ChargePayment")
    said = undo.attributes
    assert (said["messaging.system"], said["messaging.operation.type"]) == ("sagakit", "process")
    assert (said["messaging.destination.name"], said["messaging.consumer.group.name"]) == (
        "orders.RefundPayment",
        "orders.refund",
    )
    assert said["sagakit.undoes"] == charge.attributes["messaging.message.id"]
    assert said["sagakit.process"] == PROCESS
    (commit, *_) = named(found, "COMMIT")
    assert (commit.kind, commit.attributes["db.system.name"]) == ("client", each_store.kind)
    assert not [node for node in found if "ann@example.org" in str(node.attributes)]


# ---------------------------------------------------------------------- sampling


async def test_a_caller_who_does_not_sample_is_followed() -> None:
    collected, store = Collected(), new_store()
    unsampled = PARENT[:-1] + "0"
    app, telemetry = order_app("code"), Telemetry(collected)
    async with manual.engine(app, provide={World: World()}, store=store, observer=telemetry) as running:
        await running.send(PlaceOrder("a", 1), trace=unsampled)
        await running.settle()
        assert {message.trace for message in await store.read_messages()} == {unsampled}
    assert collected.spans == []


async def test_a_story_that_is_not_sampled_carries_nothing() -> None:
    collected, store = Collected(sampled=False), new_store()
    app, telemetry = order_app("code"), Telemetry(collected)
    async with manual.engine(app, provide={World: World()}, store=store, observer=telemetry) as running:
        await running.send(PlaceOrder("a", 1))
        await running.settle()
        assert {message.trace for message in await store.read_messages()} == {None}
    assert collected.spans == []


async def test_a_process_is_found_by_the_trace_that_was_made_for_it() -> None:
    collected = Collected()
    app = order_app("code")
    async with manual.engine(app, provide={World: World()}, observer=Telemetry(collected)) as running:
        await running.send(PlaceOrder("a", 1))
        await running.settle()
        (trace,) = {span.place.trace_id for span in collected.spans}
        (listed,) = await running.store.read_instances(InstanceQuery(trace_id=trace))
    assert listed.row.key == "a"


async def test_the_door_tells_of_what_it_refuses_and_of_repeats() -> None:
    collected = Collected()
    app, limits = order_app("code"), Limits(unfinished=0)
    async with manual.engine(app, provide={World: World()}, limits=limits, observer=Telemetry(collected)) as running:
        with pytest.raises(Busy):
            await running.send(PlaceOrder("a", 1))
    (refused,) = nodes(collected.spans)
    assert (refused.name, refused.attributes["error.type"]) == ("send orders.PlaceOrder", "sagakit.errors.Busy")


# ---------------------------------------------------------------------- over time


async def test_after_a_crash_the_tree_goes_on() -> None:
    """What is derived needs no memory: parents that another engine has made are named all the same."""
    collected, store, world = Collected(), new_store(), World(charge=("fails", "done"))
    app = order_app("code")
    async with manual.engine(app, provide={World: world}, store=store, observer=Telemetry(collected)) as running:
        await running.send(PlaceOrder("a", 1))
        await running.settle()
        clock = running.hand
    again = store.again()
    telemetry = Telemetry(collected)
    async with manual.engine(app, provide={World: world}, store=again, clock=clock, observer=telemetry) as running:
        await running.advance(seconds=10)
    found = nodes(collected.spans)
    assert orphans(found) == []
    assert len({node.trace_id for node in found}) == 1
    assert named(found, f"{PROCESS} completed")


@dataclass(frozen=True)
class Nap:
    key: str
    seconds: float


@dataclass(frozen=True)
class Ring:
    key: str


@dataclass(frozen=True)
class Rung:
    key: str


def sleeping(on_ring: Callable[[Context], None] = lambda context: None) -> App:
    app = App("t")

    @app.handles
    async def ring(command: Ring, context: Context) -> Rung:
        on_ring(context)
        return Rung(command.key)

    @app.saga(key="key")
    async def nap(asked: Nap, saga: Saga) -> None:
        await saga.sleep(asked.seconds)
        await saga.do(Ring(asked.key), then=Rung)

    return app


async def slept(seconds: float) -> list[Node]:
    collected = Collected()
    async with manual.engine(sleeping(), observer=Telemetry(collected)) as running:
        await running.send(Nap("a", seconds))
        await running.settle()
        await running.advance(seconds=seconds)
    return nodes(collected.spans)


async def test_a_short_sleep_stays_in_the_trace() -> None:
    assert drawn(await slept(10), without=["COMMIT"]).splitlines() == [
        "send t.Nap (producer)",
        "└─ start t.nap (internal)",
        "   ├─ t.nap completed (internal)",
        "   ├─ fire sagakit.TimerFired (internal)",
        "   │  └─ react t.nap (internal)",
        "   └─ process t.Ring (consumer)",
        "      └─ react t.nap (internal) = succeeded",
    ]


async def test_after_a_long_sleep_a_trace_of_its_own_is_linked() -> None:
    found = await slept(3600)
    (fired,) = named(found, "fire sagakit.TimerFired")
    (start,) = named(found, "start t.nap")
    assert fired.links == (start.span_id,)
    assert (fired.parent_id, fired.trace_id != start.trace_id) == ("", True)
    (ring,) = named(found, "process t.Ring")
    assert (ring.trace_id, ring.parent_id) == (fired.trace_id, fired.span_id)
    assert orphans(found) == []


# ---------------------------------------------------------------------- what handlers see


@pytest.mark.parametrize("threaded", [False, True])
async def test_the_span_of_a_run_is_the_current_one(threaded: bool) -> None:
    app, seen = App("t"), list[tuple[str, str]]()

    def note(context: Context) -> None:
        span = get_current_span()
        span.set_attribute("shelf", 7)
        seen.append((f"{span.get_span_context().span_id:016x}", str(context.trace)))

    if threaded:

        @app.handles
        def ring(command: Ring, context: Context) -> Rung:
            note(context)
            return Rung(command.key)
    else:

        @app.handles
        async def ring(command: Ring, context: Context) -> Rung:
            note(context)
            return Rung(command.key)

    collected = Collected()
    async with manual.engine(app, observer=Telemetry(collected)) as running:
        await running.send(Ring("a"), trace=PARENT)
        await running.settle()
        assert not get_current_span().get_span_context().is_valid
    (run,) = named(nodes(collected.spans), "process t.Ring")
    assert seen == [(run.span_id, f"00-{TRACE}-{run.span_id}-01")]
    assert run.attributes["shelf"] == 7
