"""Declarations become consumers: who takes what, by which key, and how."""

from __future__ import annotations

from dataclasses import dataclass, make_dataclass
from typing import Annotated, Any

import pytest
from structlog.testing import capture_logs

from sagakit import ONE, App, Context, Failed, Module, Retry, Saga, Step, wire
from sagakit.app.compile import logger_of
from sagakit.core.lifecycle import LIFECYCLE
from sagakit.core.process_manager.live import ManagerDefinition
from sagakit.core.saga.code_saga import SagaDefinition
from sagakit.core.streams import instance_id, lane_name
from sagakit.engine.topology import AggregateConsumer, ProcessConsumer, ServiceConsumer, Topology


@dataclass(frozen=True)
class Place:
    id: str


@dataclass(frozen=True)
class Placed:
    id: str


@dataclass(frozen=True)
class Pay:
    id: str
    account: int | None = None


class Step1:
    @wire("payments.PaymentDone", version=2)
    @dataclass(frozen=True)
    class Paid:
        id: str

    @dataclass(frozen=True)
    class Declined:
        id: str


@dataclass(frozen=True)
class Refund:
    id: str


@dataclass(frozen=True)
class Refunded:
    id: str


@dataclass(frozen=True)
class Shipped:
    id: str


def lift(fields: dict[str, Any]) -> dict[str, Any]:
    return fields | {"lifted": True}


def make() -> tuple[App, dict[str, Any]]:
    payments, orders = Module("payments"), Module("orders")
    impatient = Retry(2)

    @payments.handles(key="account", retry=impatient, timeout=3)
    async def pay(command: Pay, context: Context, more: int = 1) -> Step1.Paid | Step1.Declined:
        raise NotImplementedError

    @payments.handles
    def refund(command: Refund) -> Refunded:
        raise NotImplementedError

    payments.upcasts(Step1.Paid, version=1)(lift)

    @orders.aggregate(key="id", snapshot_every=7)
    @dataclass(frozen=True)
    class Order:
        status: str = ""

        def decide(self, command: Place) -> Placed:
            raise NotImplementedError

        def evolve(self, event: Placed) -> Order:
            return self

    @orders.on
    def pay_at_once(event: Placed) -> list[Pay]:
        raise NotImplementedError

    @orders.on(key="id", retry=(impatient, Retry(3)))
    async def mail(event: Placed) -> None: ...

    @orders.publishes
    def shipped(event: Placed) -> Shipped | None:
        raise NotImplementedError

    @orders.saga(key="id", receives=Shipped)
    async def in_code(start: Placed, saga: Saga) -> None:
        await saga.do(Pay(start.id), then=Step1.Paid, undo=Refund(start.id))

    @orders.saga(key="id", name="in_code", version=2)
    async def newer(start: Placed, saga: Saga) -> None: ...

    in_steps = orders.step_saga("in_steps", Step(Pay, then=Step1.Paid, undo=Refund), starts_with=Placed, key="id")

    @orders.process_manager(key="id", starts_with=Placed, name="by_hand")
    @dataclass(frozen=True)
    class Manager:
        def evolve(self, event: Placed) -> Manager:
            return self

        def react(self, event: Placed | Step1.Paid | Failed[Pay]) -> Pay:
            raise NotImplementedError

    declared = {"Order": Order, "in_code": in_code, "newer": newer, "in_steps": in_steps, "Manager": Manager}
    return App("shop", payments, orders), declared


@pytest.fixture
def topology() -> Topology:
    return make()[0].topology()


def service(topology: Topology, name: str) -> ServiceConsumer:
    consumer = topology.consumers[name]
    assert isinstance(consumer, ServiceConsumer)
    return consumer


def test_wire_names(topology: Topology) -> None:
    names = set(topology.codecs.by_name) - {codec.__name__ for codec in LIFECYCLE}
    assert {name for name in names if not name.startswith("sagakit.")} == {
        "orders.Place",
        "orders.Placed",
        "orders.Shipped",
        "payments.Pay",
        "payments.PaymentDone",
        "payments.Refund",
        "payments.Refunded",
        "payments.Step1.Declined",
    }
    assert topology.codecs.by_class[Step1.Paid].version == 2
    assert topology.codecs.by_class[Step1.Paid].upcasters == {1: lift}
    assert all(cls in topology.codecs.by_class for cls in LIFECYCLE)


def test_a_service_handler(topology: Topology) -> None:
    pay = service(topology, "payments.pay")
    assert (pay.role, pay.first, pay.timeout, pay.threaded) == ("handler", "command", 3, False)
    assert dict(pay.asks) == {"context": Context, "more": int}
    assert pay.outcomes == {Step1.Paid, Step1.Declined}
    assert pay.retries == (Retry(2),)
    assert pay.key is not None
    assert pay.key(Pay("1", 7)) == "7"
    assert pay.key(Pay("1")) is None
    assert topology.handlers[Pay] is pay


def test_a_plain_handler_runs_in_a_thread_and_has_lanes_of_its_own(topology: Topology) -> None:
    refund = service(topology, "payments.refund")
    assert refund.threaded
    assert refund.key is None
    assert refund.retries == (Retry(),)


def test_listeners_and_forwarders_run_where_they_are(topology: Topology) -> None:
    pay_at_once, mail, shipped = (service(topology, f"orders.{name}") for name in ("pay_at_once", "mail", "shipped"))
    assert (pay_at_once.role, pay_at_once.threaded, pay_at_once.outcomes) == ("listener", False, {Pay})
    assert (mail.role, mail.threaded, mail.outcomes) == ("listener", False, frozenset())
    assert mail.retries == (Retry(2), Retry(3))
    assert (shipped.role, shipped.threaded, shipped.outcomes) == ("forwarder", False, {Shipped})
    assert shipped.key is None


def test_an_aggregate() -> None:
    app, declared = make()
    topology = app.topology()
    order = topology.aggregates[declared["Order"]]
    assert order is topology.consumers["orders.Order"] is topology.handlers[Place]
    assert isinstance(order, AggregateConsumer)
    assert (order.name, order.commands, order.outcomes) == ("orders.Order", {Place}, {Placed})
    assert order.key(Place("1")) == "1"
    assert order.snapshot_every == 7


def test_the_digest_of_an_aggregate_is_that_of_its_fields() -> None:
    def declared(fields: dict[str, Any]) -> str:
        module = Module("m")

        class Thing:
            def decide(self, command: Place) -> Placed:
                raise NotImplementedError

            def evolve(self, event: Placed) -> Thing:
                return self

        Thing.__annotations__ = fields
        for name in fields:
            setattr(Thing, name, None)
        module.aggregate(key=ONE)(dataclass(frozen=True)(Thing))
        return App("app", module).topology().aggregates[Thing].code

    assert declared({"a": int | None}) == declared({"a": int | None})
    assert declared({"a": int | None}) != declared({"a": str | None})
    assert declared({"a": int | None}) != declared({"b": int | None})
    inner, more = make_dataclass("Inner", [("x", int)]), make_dataclass("Inner", [("x", int), ("y", int, 0)])
    assert declared({"a": list[inner] | None}) == declared({"a": list[inner] | None})
    assert declared({"a": list[inner] | None}) != declared({"a": list[more] | None})
    # what is said beside a type is no part of it: its text may be another one in each process
    assert declared({"a": Annotated[int | None, object()]}) == declared({"a": Annotated[int | None, object()]})


def test_processes() -> None:
    app, declared = make()
    topology = app.topology()
    in_code = topology.processes["orders.in_code"]
    assert in_code is topology.processes[declared["in_code"]] is topology.processes[declared["newer"]]
    assert in_code.declared is declared["newer"]
    assert set(in_code.definitions) == {1, 2}
    assert in_code.current is in_code.definitions[2]
    first = in_code.definitions[1]
    assert isinstance(first, SagaDefinition)
    assert (first.name, first.version, first.starts_with) == ("orders.in_code", 1, (Placed,))
    assert first.receives == (Shipped,)
    assert in_code.key(Placed("1")) == "1"

    in_steps = topology.processes[declared["in_steps"]]
    assert isinstance(in_steps.current, SagaDefinition)
    assert in_steps.name == "orders.in_steps"

    by_hand = topology.processes[declared["Manager"]]
    assert isinstance(by_hand.current, ManagerDefinition)
    assert by_hand.name == by_hand.current.name == "orders.by_hand"
    assert by_hand.current.evolves == {Placed}
    assert by_hand.current.reacts == {Placed, Step1.Paid, Failed}
    assert set(by_hand.current.receives) == {Step1.Paid}


def test_who_takes_what(topology: Topology) -> None:
    def taking(cls: type) -> list[str]:
        return [taker.name for taker in topology.takers.get(cls, ())]

    assert taking(Placed) == [
        "orders.pay_at_once",
        "orders.mail",
        "orders.shipped",
        "orders.in_code",
        "orders.in_steps",
        "orders.by_hand",
    ]
    assert taking(Shipped) == ["orders.in_code"]
    assert taking(Step1.Paid) == []  # another module's, and nothing but an outcome
    assert [started.name for started in topology.starters[Placed]] == [
        "orders.in_code",
        "orders.in_steps",
        "orders.by_hand",
    ]
    assert all(isinstance(started, ProcessConsumer) for started in topology.starters[Placed])
    assert set(topology.handlers) == {Pay, Refund, Place}


def test_the_outcomes_of_commands(topology: Topology) -> None:
    assert dict(topology.around.outcomes) == {
        Pay: {Step1.Paid, Step1.Declined},
        Refund: {Refunded},
        Place: {Placed},
    }
    assert topology.around.codecs is topology.codecs


def test_a_command_that_starts_a_process() -> None:
    module = Module("m")

    @module.saga(key="id")
    async def child(start: Place, saga: Saga) -> Placed:
        raise NotImplementedError

    @module.saga(key="id")
    async def of_an_event(start: Pay, saga: Saga) -> Refunded:
        raise NotImplementedError

    @module.on
    async def listen(event: Pay) -> None: ...

    topology = App("app", module).topology()
    assert topology.around.outcomes == {Place: {Placed}}
    assert Place not in topology.handlers
    assert [started.name for started in topology.starters[Place]] == ["m.child"]
    assert topology.processes["m.child"].answers
    assert not topology.processes["m.of_an_event"].answers
    assert topology.around.child(Place("7")) == lane_name("m.child", instance_id("m.child", "7"))
    assert topology.around.child(Pay("7")) == ""  # it is an event


def test_what_starts_no_instance() -> None:
    module = Module("m")

    @module.saga(key="account")
    async def child(start: Pay, saga: Saga) -> Placed:
        raise NotImplementedError

    around = App("app", module).topology().around
    assert around.child(Pay("7")) == ""  # a key of None is for nobody
    assert around.child(Place("7")) == ""
    around.children = {Place: lambda command: command.account}
    assert around.child(Place("7")) == ""  # its key cannot be found


def test_loggers(capsys: pytest.CaptureFixture[str]) -> None:
    with capture_logs() as logs:
        logger_of("orders.fulfil", "o-1").info("said", extra=1)
        silent = logger_of("", "o-1")
        for say in (silent.debug, silent.info, silent.warning, silent.error, silent.critical, silent.exception):
            say("silent")
        silent.bind(more=1).critical("silent")
    assert logs == [{"event": "said", "extra": 1, "process": "orders.fulfil", "key": "o-1", "log_level": "info"}]
    assert capsys.readouterr().out == ""
