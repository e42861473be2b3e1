"""Events stay in their module unless they are published; aggregates know their own; what nobody takes is warned of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from sagakit import (
    App,
    Cancelled,
    CompensationFailed,
    End,
    Failed,
    Message,
    Module,
    ProcessParked,
    ProcessSettled,
    Saga,
    Step,
)

Problems = Callable[..., list[str]]


@dataclass(frozen=True)
class Place:
    id: str


@dataclass(frozen=True)
class Placed:
    id: str


@dataclass(frozen=True)
class Confirmed:
    id: str


@dataclass(frozen=True)
class Completed:
    id: str


@dataclass(frozen=True)
class Pay:
    id: str


@dataclass(frozen=True)
class Paid:
    id: str


@dataclass(frozen=True)
class Declined:
    reason: str


@pytest.fixture
def payments() -> Module:
    payments = Module("payments")

    @payments.handles
    async def pay(command: Pay) -> Paid | Declined:
        raise NotImplementedError

    return payments


@pytest.fixture
def orders() -> Module:
    orders = Module("orders")

    @orders.aggregate(key="id")
    @dataclass(frozen=True)
    class Order:
        def decide(self, command: Place) -> Placed | Confirmed:
            raise NotImplementedError

        def evolve(self, event: Placed | Confirmed) -> Order:
            raise NotImplementedError

    return orders


def internal(problem: str, event: str, owner: str) -> bool:
    mend = f"let {owner} publish an event of its own from it (@{owner}.publishes), and take that one"
    return problem.endswith(f"{event} is internal to the module {owner}: {mend}")


def test_a_listener_on_an_internal_event_of_its_own_module(orders: Module, problems: Problems) -> None:
    @orders.on
    async def listen(event: Placed) -> None: ...

    assert problems(orders) == []


def test_a_listener_on_an_internal_event_of_another_module(orders: Module, problems: Problems) -> None:
    other = Module("other")

    @other.on
    async def listen(event: Placed) -> None: ...

    [problem] = problems(orders, other)
    assert problem.startswith("other.listen (tests/app/checks/test_events.py:")
    assert internal(problem, "Placed", "orders")


def test_a_listener_on_a_published_event(orders: Module, problems: Problems) -> None:
    other = Module("other")

    @orders.publishes
    def completed(event: Confirmed) -> Completed | None:
        raise NotImplementedError

    @other.on
    async def listen(event: Completed) -> None: ...

    assert problems(orders, other) == []


def test_a_forwarder_of_an_internal_event_of_another_module(orders: Module, problems: Problems) -> None:
    other = Module("other")

    @other.publishes
    def completed(event: Confirmed) -> Completed:
        raise NotImplementedError

    [problem] = problems(orders, other)
    assert internal(problem, "Confirmed", "orders")


def test_a_process_that_an_internal_event_of_another_module_starts(orders: Module, problems: Problems) -> None:
    other = Module("other")

    @other.saga(key="id")
    async def run(start: Placed, saga: Saga) -> None: ...

    other.step_saga("steps", starts_with=Placed, key="id")

    @other.process_manager(key="id", starts_with=Placed)
    @dataclass(frozen=True)
    class Manager:
        def react(self, event: Placed) -> None: ...

    found = problems(orders, other)
    assert len(found) == 3
    assert all(internal(problem, "Placed", "orders") for problem in found)


def test_an_event_from_outside_is_nobodys(problems: Problems) -> None:
    one, other = Module("one"), Module("other")

    @one.on
    async def listen(event: Placed) -> None: ...

    assert problems(one, other) == []


def test_the_outcome_of_an_own_command_may_be_taken(payments: Module, problems: Problems) -> None:
    other = Module("other")

    @other.process_manager(key="id", starts_with=Placed)
    @dataclass(frozen=True)
    class Manager:
        def react(self, event: Placed | Paid | Declined | Failed[Pay] | Cancelled) -> Message | None:
            match event:
                case Placed(id):
                    return Pay(id)
                case _:
                    return End()

    assert problems(payments, other) == []
    takers = App("app", payments, other).topology().takers
    assert [taker.name for taker in takers[Placed]] == ["other.Manager"]
    assert Paid not in takers  # another module's: only as an outcome
    assert Declined not in takers  # it has no key: only as an outcome


def test_an_own_event_is_taken_by_key_too(payments: Module) -> None:
    @payments.process_manager(key="id", starts_with=Placed)
    @dataclass(frozen=True)
    class Manager:
        def react(self, event: Placed | Paid | Declined) -> Message:
            return Pay(event.id if isinstance(event, Placed) else "")

    takers = App("app", payments).topology().takers
    assert [taker.name for taker in takers[Paid]] == ["payments.Manager"]
    assert Declined not in takers


def test_an_outcome_of_a_command_that_it_does_not_send(payments: Module, problems: Problems) -> None:
    other = Module("other")

    @other.process_manager(key="id", starts_with=Placed)
    @dataclass(frozen=True)
    class Manager:
        def react(self, event: Placed | Paid) -> End:
            return End()

    [problem] = problems(payments, other)
    assert internal(problem, "Paid", "payments")


def test_an_outcome_of_a_command_that_cannot_be_seen(payments: Module, problems: Problems) -> None:
    other = Module("other")
    make: Any = None

    @other.process_manager(key="id", starts_with=Placed)
    @dataclass(frozen=True)
    class Manager:
        def react(self, event: Placed | Paid) -> Sequence[Message]:
            return make(event)

    assert problems(payments, other) == []


def test_a_code_saga_that_receives_an_internal_event_of_another_module(orders: Module, problems: Problems) -> None:
    other = Module("other")

    @other.saga(key="id", receives=Confirmed)
    async def run(start: Paid, saga: Saga) -> None: ...

    [problem] = problems(orders, other)
    assert internal(problem, "Confirmed", "orders")


def test_an_aggregate_that_does_not_evolve_all_that_it_decides(problems: Problems) -> None:
    module = Module("m")

    @module.aggregate(key="id")
    @dataclass(frozen=True)
    class Order:
        def decide(self, command: Place) -> Placed | list[Confirmed]:
            raise NotImplementedError

        def evolve(self, event: Placed) -> Order:
            raise NotImplementedError

    [problem] = problems(module)
    assert problem.startswith("m.Order (tests/app/checks/test_events.py:")
    assert problem.endswith(
        "decide may return Confirmed, which evolve does not take: add it to the annotation of evolve, and a case for it"
    )


def test_an_aggregate_that_evolves_any_message(problems: Problems) -> None:
    module = Module("m")

    @module.aggregate(key="id")
    @dataclass(frozen=True)
    class Order:
        def decide(self, command: Place) -> Placed:
            raise NotImplementedError

        def evolve(self, event: Message) -> Order:
            raise NotImplementedError

    assert problems(module) == []


def test_a_process_manager_that_does_not_take_what_starts_it(problems: Problems) -> None:
    module = Module("m")

    @module.process_manager(key="id", starts_with=(Placed, Paid))
    @dataclass(frozen=True)
    class Manager:
        def react(self, event: Placed) -> End:
            return End()

    [problem] = problems(module)
    assert problem.endswith("starts with Paid, which neither react nor evolve takes")


def test_what_is_for_process_managers_alone(problems: Problems) -> None:
    module = Module("m")

    @module.on
    async def listen(event: Cancelled) -> None: ...

    @module.saga(key="id")
    async def run(start: Placed, saga: Saga) -> End:
        return End()

    found = problems(module)
    assert found[0].endswith("Cancelled is for process managers alone")
    assert found[1].endswith("End is for process managers alone")


# ---------------------------------------------------------------------- warnings


def warnings(*modules: Module) -> list[str]:
    return list(App("app", *modules).warnings)


def test_an_event_that_nobody_takes(payments: Module, orders: Module) -> None:
    @orders.publishes
    def completed(event: Confirmed) -> Completed:
        raise NotImplementedError

    found = warnings(orders, payments)
    # the outcomes of a command are told to whoever sends it
    assert [warning.rpartition(": ")[2] for warning in found] == ["nobody takes the event Completed"]
    assert found[0].startswith("orders.completed (tests/app/checks/test_events.py:")
    assert App("app", orders, payments).topology().warnings == tuple(found)


def test_the_outcomes_of_a_step_are_taken(payments: Module) -> None:
    payments.step_saga("steps", Step(Pay, then=Paid), starts_with=Placed, key="id")
    assert warnings(payments) == []


def test_warnings_keep_nothing_from_running(payments: Module, orders: Module) -> None:
    @orders.publishes
    def completed(event: Confirmed) -> Completed:
        raise NotImplementedError

    app = App("app", orders, payments)
    app.check()
    assert app.warnings


def test_what_the_engine_tells_of_itself_is_for_every_module(
    orders: Module, payments: Module, problems: Problems
) -> None:
    for module in (orders, payments):

        @module.on
        async def page(event: ProcessParked | CompensationFailed) -> None: ...

    @payments.saga(key="instance", receives=CompensationFailed)
    async def alone(event: ProcessSettled, saga: Saga) -> None: ...

    assert problems(orders, payments) == []
    topology = App("app", orders, payments).topology()
    assert ProcessSettled not in topology.commands
    assert [one.name for one in topology.takers[ProcessSettled]] == ["payments.alone"]
    assert [one.name for one in topology.takers[CompensationFailed]] == [
        "orders.page",
        "payments.page",
        "payments.alone",
    ]


def test_what_the_engine_tells_of_itself_nobody_else_does(problems: Problems) -> None:
    module = Module("module")

    @module.handles
    async def pay(command: Pay) -> ProcessParked:
        raise NotImplementedError

    [problem] = problems(module)
    assert problem.endswith("ProcessParked is told by the engine alone: make an event of your own")
