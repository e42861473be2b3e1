from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import Sagakit

from sagakit import Engine, Receipt
from sagakit.cli.apps import load

OLD = """
from dataclasses import dataclass
from sagakit import App, Saga

@dataclass(frozen=True)
class Booked:
    id: str

@dataclass(frozen=True)
class Ended:
    id: str

@dataclass(frozen=True)
class Remind:
    id: str

@dataclass(frozen=True)
class Reminded:
    id: str

app = App("visits")

@app.handles
async def remind(command: Remind) -> Reminded:
    return Reminded(command.id)

@app.saga(key="id", receives=Ended)
async def visit(booked: Booked, saga: Saga) -> None:
    await saga.do(Remind(booked.id), then=Reminded)
    await saga.receive(Ended)
"""
CHANGED = OLD.replace("    await saga.do(Remind(booked.id), then=Reminded)\n", "")


@pytest.fixture
def visits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with an app, its changed form, and a database with two visits under way."""
    (tmp_path / "old_visits.py").write_text(OLD)
    (tmp_path / "new_visits.py").write_text(CHANGED)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    asyncio.run(_book(tmp_path / "visits.db"))
    yield tmp_path
    for name in ("old_visits", "new_visits"):
        sys.modules.pop(name, None)


async def _book(db: Path) -> None:
    app = load("old_visits:app")
    module = sys.modules["old_visits"]
    async with app.engine(str(db)) as engine:
        for key in ("v-1", "v-2"):
            receipt = await engine.publish(module.Booked(key))
            await until_reminded(engine, receipt)


async def until_reminded(engine: Engine, receipt: Receipt) -> None:
    async with asyncio.timeout(60):
        # a stop leaves what is to be taken still
        while len(await engine.store.read_story(receipt.correlation_id)) < 3 or not engine.idle:
            await asyncio.sleep(0)


def test_code_that_can_go_on(sagakit: Sagakit, visits: Path) -> None:
    said = sagakit("verify", "old_visits:app", "--db", visits / "visits.db")
    assert (said.code, said.err) == (0, "")
    assert said.out == "2 live instances and 0 outstanding messages: this code can go on with all of them\n"


def test_code_that_cannot_go_on_is_told_step_by_step(sagakit: Sagakit, visits: Path) -> None:
    said = sagakit("verify", "new_visits:app", "--db", visits / "visits.db")
    assert said.code == 1
    lines = said.out.splitlines()
    assert lines[0].endswith("  visits.visit v-1 (version 1)")
    assert "visits.Remind is recorded, the code now sends nothing more" in lines[1]
    assert lines[-1] == "2 live instances and 0 outstanding messages: 2 could not go on with this code"


def test_what_is_verified_as_json(sagakit: Sagakit, visits: Path) -> None:
    assert sagakit("verify", "old_visits:app", "--db", visits / "visits.db", "--json").json == {
        "instances": 2,
        "messages": 0,
        "troubles": [],
    }


def test_the_versions_in_use(sagakit: Sagakit, visits: Path) -> None:
    (one,) = sagakit("versions", "old_visits:app", "--db", visits / "visits.db", "--json").json
    assert (one["process"], one["version"], one["declared"], one["current"], one["live"], one["can_go"]) == (
        "visits.visit",
        1,
        True,
        True,
        2,
        False,
    )
    said = sagakit("versions", "old_visits:app", "--db", visits / "visits.db")
    assert said.out.splitlines()[0].split() == ["PROCESS", "VERSION", "RUNNING", "OLDEST", "(UTC)"]
    assert said.out.splitlines()[1].endswith("new instances start on it")
