"""Every message that is found by a field path has its fields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import pytest
from msgspec import Struct
from pydantic import BaseModel

from sagakit import ONE, Module, Saga

Problems = Callable[..., list[str]]


class Customer(Struct, frozen=True):
    id: str


@dataclass(frozen=True)
class Start:
    id: str
    customer: Customer | None = None

    @property
    def whole_id(self) -> str:
        return self.id


@dataclass(frozen=True)
class Do:
    name: str


@dataclass(frozen=True)
class Done:
    id: str


class Model(BaseModel, frozen=True):
    id: str


@dataclass(frozen=True)
class Named:
    name: str

    def __str__(self) -> str:
        return self.name


MEND = "name a field, or a path like 'order.id', that all of them have"


def test_a_service_handler(problems: Problems) -> None:
    module = Module("m")

    @module.handles(key="id")
    async def handle(command: Start | Do) -> Done:
        raise NotImplementedError

    [problem] = problems(module)
    assert problem.endswith(f"key='id': Do has no field 'id': {MEND}")


UNSTEADY = "whose text is not the same in every process: name a plain value"


@pytest.mark.parametrize(
    ("hint", "found"),
    [
        (frozenset[str], "frozenset"),
        (set[str] | None, "set"),
        (Annotated[dict[str, int], "by name"], "dict"),
        (Customer, "Customer"),
        (Start | None, "Start"),
        (Model, "Model"),
        (Named, None),
        (str, None),
        (UUID | None, None),
        (Any, None),
    ],
    ids=str,
)
def test_a_key_has_the_same_text_in_every_process(problems: Problems, hint: Any, found: str | None) -> None:
    @dataclass(frozen=True)
    class Sent:
        by: object

    Sent.__annotations__["by"] = hint
    module = Module("m")

    async def handle(command: Sent) -> None:
        raise NotImplementedError

    handle.__annotations__ = {"command": Sent, "return": None}
    module.on(key="by")(handle)
    about = [one for one in problems(module) if "key=" in one]
    assert len(about) == (0 if found is None else 1)
    assert all(one.endswith(f".Sent.by is a {found}, {UNSTEADY}") for one in about)


def test_an_aggregate(problems: Problems) -> None:
    module = Module("m")

    @module.aggregate(key="id")
    @dataclass(frozen=True)
    class Thing:
        def decide(self, command: Start | Do) -> Done:
            raise NotImplementedError

        def evolve(self, event: Done) -> Thing:
            return self

    [problem] = problems(module)
    assert problem.endswith(f"key='id': Do has no field 'id': {MEND}")


def test_an_aggregate_that_exists_once_needs_no_field(problems: Problems) -> None:
    module = Module("m")

    @module.aggregate(key=ONE)
    @dataclass(frozen=True)
    class Thing:
        def decide(self, command: Start | Do) -> Done:
            raise NotImplementedError

        def evolve(self, event: Done) -> Thing:
            return self

    assert problems(module) == []


def test_processes(problems: Problems) -> None:
    module = Module("m")

    @module.saga(key="id", receives=Do)
    async def run(start: Start, saga: Saga) -> None: ...

    module.step_saga("steps", starts_with=Do, key="id")

    @module.process_manager(key="id", starts_with=Start)
    @dataclass(frozen=True)
    class Manager:
        def react(self, event: Start | Do) -> None: ...

    found = problems(module)
    assert [problem.partition(" ")[0].rstrip(":") for problem in found] == ["m.run", "m.steps", "m.Manager"]
    assert all(problem.endswith(f"key='id': Do has no field 'id': {MEND}") for problem in found)


def test_paths_and_properties(problems: Problems) -> None:
    module = Module("m")

    @module.on(key="customer.id")
    async def by_path(event: Start) -> None: ...

    @module.on(key="whole_id")
    async def by_property(event: Start) -> None: ...

    @module.on(key="id.hex")  # what a str, or any other value, has is not looked at
    async def by_value(event: Start) -> None: ...

    @module.on(key="customer.name")
    async def wrong(event: Start) -> None: ...

    [problem] = problems(module)
    assert problem.startswith("m.wrong (")
    assert problem.endswith(f"key='customer.name': Customer has no field 'name': {MEND}")


def test_attributes_that_nothing_has(problems: Problems) -> None:
    module = Module("m")

    @module.handles
    async def handle(command: Do) -> Done:
        raise NotImplementedError

    @module.saga(key="id", attributes=("customer", "whole_id", "colour", "customer.id"))
    async def run(start: Start, saga: Saga) -> None: ...

    first, second = problems(module)
    assert first.endswith("attributes='colour': nothing that it takes has a field of that name")
    assert second.endswith("attributes='customer.id': an attribute is the name of a field")
