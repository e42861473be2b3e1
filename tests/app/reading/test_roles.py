"""Every message class is a command or an event, and belongs to a module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sagakit import Message, Module, Saga, Step, Undoing, wire
from sagakit.app.reading.parts import Parts
from sagakit.app.reading.read import read_parts
from sagakit.app.reading.roles import Roles, by_name, roles_of


@dataclass(frozen=True)
class Place:
    id: str


@dataclass(frozen=True)
class Placed:
    id: str


@dataclass(frozen=True)
class Pay:
    id: str


@dataclass(frozen=True)
class Paid:
    id: str


@dataclass(frozen=True)
class Refund:
    id: str


@dataclass(frozen=True)
class Refunded:
    id: str


@dataclass(frozen=True)
class Finished:
    id: str


@wire("elsewhere.Happened", version=2)
@dataclass(frozen=True)
class Happened:
    id: str


def read(*modules: Module) -> tuple[Parts, Roles]:
    parts = read_parts("app", modules)
    return parts, roles_of(parts)


def payments() -> Module:
    module = Module("payments")

    @module.handles
    async def pay(command: Pay) -> Paid:
        raise NotImplementedError

    @module.handles
    async def refund(command: Refund) -> Refunded:
        raise NotImplementedError

    return module


def test_owners() -> None:
    orders = Module("orders")

    @orders.saga(key="id", receives=Happened)
    async def run(start: Placed, saga: Saga) -> Finished:
        await saga.do(Pay(start.id), then=Paid)
        saga.publish(Refunded(start.id))
        return Finished(start.id)

    _, roles = read(payments(), orders)
    assert roles.owners(Pay) == ["payments"]  # who handles it
    assert roles.owners(Paid) == ["payments"]  # who emits it
    assert roles.owners(Finished) == ["orders"]
    assert roles.owners(Refunded) == ["payments", "orders"]
    assert roles.owners(Placed) == ["orders"]  # who takes it: nobody here emits it
    assert roles.wire(Pay) == ("payments.Pay", 1)
    assert roles.wire(Happened) == ("elsewhere.Happened", 2)
    assert roles.outcomes[Pay] == {Paid}


def manager(answers: Sequence[Message]) -> Module:
    module = Module("orders")

    @module.process_manager(key="id", starts_with=Placed)
    @dataclass(frozen=True)
    class Manager:
        def react(self, event: Placed) -> Sequence[Message]:
            return [Pay(event.id), Undoing(Refund(event.id), of=Pay(event.id)), Finished(event.id)]

    return module


def test_what_a_process_manager_answers_is_sorted() -> None:
    parts, roles = read(payments(), manager(()))
    [process] = parts.processes
    assert process.commands == {Pay, Refund}
    assert process.emits == {Finished}
    assert roles.sent[Pay] == [process]
    assert roles.emitted[Finished] == [process]
    assert roles.starts[Placed] == [process]
    assert roles.taken[Placed] == [process]


def test_a_child_of_a_process_manager_is_sent_a_command_if_it_answers() -> None:
    child = Module("child")

    @child.saga(key="id")
    async def run(start: Finished, saga: Saga) -> Refunded:
        raise NotImplementedError

    parts, _ = read(payments(), manager(()), child)
    assert Finished in parts.processes[0].commands


def test_a_process_manager_answers_a_command_with_its_events() -> None:
    module = manager(())

    @module.saga(key="id")
    async def parent(start: Happened, saga: Saga) -> None:
        await saga.do(Placed(start.id), then=Finished)

    parts, roles = read(payments(), module)
    assert roles.handled[Placed] == [process for process in parts.processes if process.name == "orders.Manager"]
    assert roles.outcomes[Placed] == {Finished}


def test_what_an_annotation_names_need_not_be_seen() -> None:
    module = Module("orders")

    @module.process_manager(key="id", starts_with=Placed)
    @dataclass(frozen=True)
    class Manager:
        def react(self, event: Placed) -> list[Pay | Finished]:
            return self.__getattribute__("unseen")()  # type: ignore[no-any-return]

    [process] = read(payments(), module)[0].processes
    assert not process.made.unseen
    assert (process.commands, process.emits) == ({Pay}, {Finished})


def test_a_process_that_an_event_of_a_process_manager_starts() -> None:
    child = Module("child")

    @child.saga(key="id")
    async def run(start: Finished, saga: Saga) -> None: ...

    parts, roles = read(payments(), manager(()), child)
    assert Finished in parts.processes[0].emits
    assert Finished not in roles.handled


def test_a_start_that_nobody_emits_is_a_command() -> None:
    module = Module("m")
    module.step_saga("steps", Step(Pay, then=Paid), starts_with=Place, key="id")
    parts, roles = read(payments(), module)
    assert roles.handled[Place] == parts.processes
    assert roles.outcomes[Place] == frozenset()


def test_a_start_that_is_an_event_is_none() -> None:
    module = Module("m")
    module.step_saga("steps", starts_with=Paid, key="id")
    module.step_saga("more", starts_with=Placed, key="id")
    module.step_saga("several", starts_with=Placed, key="id")
    _, roles = read(payments(), module)
    assert Paid not in roles.handled  # somebody emits it
    assert Placed not in roles.handled  # a command would start one


def test_versions_oldest_first() -> None:
    module = Module("m")
    module.step_saga("steps", starts_with=Paid, key="id", version=3)
    module.step_saga("steps", starts_with=Paid, key="id")
    parts, _ = read(module)
    assert [one.version for one in by_name(parts.processes)["m.steps"]] == [1, 3]
