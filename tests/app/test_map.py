from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from sagakit import ONE, App, End, Message, Module, Saga
from sagakit.app.map import AppMap, Handled, Orphan, Published, Sent, Taken, map_of
from sagakit.demos.shop.app import shop_app


@dataclass(frozen=True)
class Ask:
    id: str


@dataclass(frozen=True)
class Granted:
    id: str


@dataclass(frozen=True)
class Denied:
    id: str


@dataclass(frozen=True)
class Begin:
    id: str


@dataclass(frozen=True)
class Begun:
    id: str


@dataclass(frozen=True)
class Heard:
    id: str


def office() -> Module:
    module = Module("office")

    @module.handles
    async def ask(command: Ask) -> Granted | Denied:
        return Granted(command.id)

    return module


def desk() -> Module:
    module = Module("desk")

    @module.handles
    async def begin(command: Begin) -> Begun:
        return Begun(command.id)

    return module


def test_what_each_module_does() -> None:
    front = desk()

    @front.publishes
    def told(event: Begun) -> Heard:
        return Heard(event.id)

    @front.saga(key="id")
    async def asking(begun: Begun, saga: Saga) -> None:
        await saga.do(Ask(begun.id), then=Granted)

    found = map_of(App("app", front, office()))
    assert [module.name for module in found.modules] == ["desk", "office"]
    front_map, office_map = found.modules
    assert front_map.handles == [Handled("desk.Begin", "desk.begin", ["desk.Begun"])]
    assert front_map.sends == [Sent("office.Ask", "desk.asking", "office.ask")]
    assert front_map.publishes == [Published("desk.Heard", "desk.told")]
    assert front_map.takes == [
        Taken("desk.Begun", "desk.told", ["desk.begin"]),
        Taken("desk.Begun", "desk.asking", ["desk.begin"]),
    ]
    assert office_map.handles == [Handled("office.Ask", "office.ask", ["office.Denied", "office.Granted"])]
    assert (office_map.sends, office_map.publishes, office_map.takes) == ([], [], [])


def test_an_event_that_nobody_takes() -> None:
    front = desk()

    @front.publishes
    def told(event: Begun) -> Heard:
        return Heard(event.id)

    assert map_of(App("app", front)).unheard_events == [Orphan("desk.Heard", ["desk.told"], "nobody takes it")]


def test_the_answer_to_a_command_is_no_orphan() -> None:
    assert map_of(App("app", desk())).unheard_events == []


def test_a_refusal_that_a_process_manager_does_not_look_at() -> None:
    front = desk()

    @front.process_manager(key="id", starts_with=Begun)
    @dataclass(frozen=True)
    class Asking:
        def react(self, event: Begun | Granted) -> Sequence[Message]:
            return [Ask(event.id)] if isinstance(event, Begun) else [End()]

    why = "desk.Asking sends office.Ask and does not look at office.Denied"
    assert map_of(App("app", front, office())).untreated_refusals == [Orphan("office.Denied", ["desk.Asking"], why)]


def test_a_step_of_a_saga_is_always_looked_at_and_what_it_only_sends_is_not() -> None:
    front = desk()

    @front.saga(key="id")
    async def asking(begun: Begun, saga: Saga) -> None:
        await saga.do(Ask(begun.id), then=Granted)

    assert map_of(App("app", front, office())).untreated_refusals == []

    careless = desk()

    @careless.saga(key="id")
    async def sending(begun: Begun, saga: Saga) -> None:
        saga.send(Ask(begun.id))

    found = map_of(App("app", careless, office())).untreated_refusals
    assert [orphan.message for orphan in found] == ["office.Denied", "office.Granted"]


def test_choreography_is_looked_at_by_whoever_takes_the_refusal() -> None:
    front = desk()

    @front.on
    def whenever(event: Begun) -> Ask:
        return Ask(event.id)

    @front.on
    async def mourn(event: Denied) -> None:
        """Nothing more can be done."""

    back = office()

    @back.on
    async def rejoice(event: Granted) -> None:
        """Nothing more has to be done."""

    with pytest.raises(Exception, match="internal to the module office"):
        map_of(App("app", front, back))
    one = Module("one")

    @one.handles
    async def begin(command: Begin) -> Begun:
        return Begun(command.id)

    @one.handles
    async def ask(command: Ask) -> Granted | Denied:
        return Granted(command.id)

    @one.on
    def then_ask(event: Begun) -> Ask:
        return Ask(event.id)

    assert [orphan.message for orphan in map_of(App("app", one)).untreated_refusals] == ["one.Denied", "one.Granted"]


@pytest.mark.parametrize("way", ["code", "steps", "manager"])
def test_nothing_of_the_shop_leads_nowhere(way: str) -> None:
    found: AppMap = map_of(shop_app(way))  # pyright: ignore[reportArgumentType]
    assert not found.unheard_events
    assert not found.untreated_refusals
    sent = {one.command for module in found.modules for one in module.sends}
    unseen = {"inventory.ReserveStock", "payments.ChargePayment"} if found.unseen else set()  # state, sent as it is
    assert found.unseen == (["orders.Fulfilment"] if way == "manager" else [])
    assert sent.isdisjoint(unseen)
    assert sent | unseen == {
        "inventory.ReserveStock",
        "inventory.ReleaseStock",
        "payments.ChargePayment",
        "payments.RefundPayment",
        "orders.ConfirmOrder",
        "orders.CancelOrder",
    }


def test_what_an_aggregate_evolves_by_is_heard() -> None:
    counters = Module("counters")

    @counters.aggregate(key=ONE)
    @dataclass(frozen=True)
    class Counter:
        def decide(self, command: Begin) -> Begun:
            return Begun(command.id)

        def evolve(self, event: Begun) -> Counter:
            return self

    assert not map_of(App("app", counters)).unheard_events
