"""What snapshots are made by: the functions of a class, as a machine reads them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from sagakit import App
from sagakit.app.reading.stored import code_of


@dataclass(frozen=True)
class Add:
    key: str


@dataclass(frozen=True)
class Added:
    key: str


class First:
    @dataclass(frozen=True)
    class Sum:
        count: int = 0

        def decide(self, command: Add) -> Added:
            return Added(command.key)

        def evolve(self, event: Added) -> First.Sum:
            return replace(self, count=self.count + 1)


class ForPeople:
    @dataclass(frozen=True)
    class Sum:
        """What is told to people."""

        count: int = 0

        def decide(self, command: Add) -> Added:
            """Here too."""
            return Added(
                command.key  # and here
            )

        def evolve(self, event: Added) -> First.Sum:
            return replace(self, count=(self.count + 1))


class Mended:
    @dataclass(frozen=True)
    class Sum:
        count: int = 0

        def decide(self, command: Add) -> Added:
            return Added(command.key)

        def evolve(self, event: Added) -> First.Sum:
            return replace(self, count=self.count + 2)


class ByOnes:
    @property
    def step(self) -> int:
        return 1

    @staticmethod
    def begin() -> int:
        return 0


class ByTwos:
    @property
    def step(self) -> int:
        return 2

    @staticmethod
    def begin() -> int:
        return 0


class FromTen:
    @property
    def step(self) -> int:
        return 1

    @staticmethod
    def begin() -> int:
        return 10


def test_what_only_people_read_is_no_part_of_it() -> None:
    assert "self.count + 1" in code_of(First.Sum)
    assert code_of(First.Sum) == code_of(ForPeople.Sum)
    assert code_of(First.Sum) != code_of(Mended.Sum)


def test_what_is_inherited_is_part_of_it() -> None:
    found = {code_of(type("Sum", (base,), {})) for base in (ByOnes, ByTwos, FromTen)}
    assert len(found) == 3


def test_what_has_no_source_goes_by_its_names() -> None:
    names: dict[str, Any] = {"__name__": "shop"}
    exec("class Sum:\n    def evolve(self, event): return self\n", names)
    assert code_of(names["Sum"]) == "evolve"


def test_a_snapshot_is_of_the_code_that_made_it() -> None:
    def digest(cls: type) -> str:
        app = App("t")
        app.aggregate(key="key")(cls)
        return app.topology().aggregates[cls].code

    before = digest(First.Sum)
    assert digest(First.Sum) == before
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(First.Sum, "evolve", Mended.Sum.evolve)
        assert digest(First.Sum) != before
        patch.setattr(First.Sum, "evolve", ForPeople.Sum.evolve)
        assert digest(First.Sum) == before
