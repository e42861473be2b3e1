"""A user's app that cannot be run says why in one line."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

import pytest
from tests.cli.conftest import Sagakit

GOOD = """
from dataclasses import dataclass
from sagakit import App, Module, Saga

tills = Module("tills")

@dataclass(frozen=True)
class OpenTill:
    till_id: str

@dataclass(frozen=True)
class TillOpened:
    till_id: str

@dataclass(frozen=True)
class CountCash:
    till_id: str

@dataclass(frozen=True)
class CashCounted:
    till_id: str

@tills.handles
def open_till(command: OpenTill) -> TillOpened:
    return TillOpened(command.till_id)

@tills.handles
def count(command: CountCash) -> CashCounted:
    return CashCounted(command.till_id)

@tills.saga(key="till_id")
async def morning(opened: TillOpened, saga: Saga) -> None:
    await saga.do(CountCash(opened.till_id), then=CashCounted)

bank = App("bank", tills)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path


def written(folder: Path, code: str) -> None:
    (folder / "mine.py").write_text(dedent(code), encoding="utf-8")


def problem(sagakit: Sagakit, name: str, *, code: int = 1) -> str:
    """The one line that `check` says."""
    said = sagakit("check", name)
    assert (said.code, said.out) == (code, "")
    assert said.err.startswith("sagakit: ")
    assert said.err.count("\n") == 1
    return said.err.removeprefix("sagakit: ").rstrip("\n")


def test_a_good_app_is_summed_up(folder: Path, sagakit: Sagakit) -> None:
    written(folder, GOOD)
    said = sagakit("check", "mine:bank")
    assert (said.code, said.err) == (0, "")
    assert (
        said.out
        == """\
bank can run: 2 commands, 2 events, 1 process

MODULE  HANDLES              EVENTS                   RUNS
tills   CountCash, OpenTill  CashCounted, TillOpened  morning (code saga)
"""
    )


SHOUTS = """

@dataclass(frozen=True)
class TillAnnounced:
    till_id: str

@tills.publishes
def announce(event: TillOpened) -> TillAnnounced:
    return TillAnnounced(event.till_id)
"""


def test_warnings_are_told(folder: Path, sagakit: Sagakit) -> None:
    written(folder, GOOD + SHOUTS)
    said = sagakit("check", "mine:bank")
    assert said.code == 0
    assert "\nwarning: " in said.out


def test_an_app_inside_a_package(folder: Path, sagakit: Sagakit) -> None:
    (folder / "shop").mkdir()
    (folder / "shop" / "__init__.py").touch()
    (folder / "shop" / "app.py").write_text(GOOD, encoding="utf-8")
    assert sagakit("check", "shop.app:bank").code == 0


def test_an_app_with_problems_lists_them_all(folder: Path, sagakit: Sagakit) -> None:
    written(folder, GOOD.replace('key="till_id"', 'key="till"') + "\ntills.handles(count)\n")
    said = sagakit("check", "mine:bank")
    assert (said.code, said.out) == (1, "")
    headline, *problems = said.err.splitlines()
    assert headline == "sagakit: the app 'bank' cannot run:"
    assert len(problems) >= 2
    assert all(line.startswith("  - ") for line in problems)


@pytest.mark.parametrize("name", ["mine", "mine:", ":bank", "mine.py:bank", "src/mine.py:bank", "src/mine:bank"])
def test_a_name_that_is_none(folder: Path, sagakit: Sagakit, name: str) -> None:
    assert problem(sagakit, name, code=2) == f"{name}: name the app as MODULE:APP, such as shop.app:shop"


def test_no_such_module(folder: Path, sagakit: Sagakit) -> None:
    assert problem(sagakit, "nowhere:app") == "there is no module nowhere, neither in this folder nor installed"
    written(folder, GOOD)
    assert problem(sagakit, "mine.app:bank").startswith("there is no module mine.app, ")


def test_no_such_attribute(folder: Path, sagakit: Sagakit) -> None:
    written(folder, GOOD)
    assert problem(sagakit, "mine:shop") == "mine has no 'shop'; it has bank"


def test_an_attribute_that_is_no_app(folder: Path, sagakit: Sagakit) -> None:
    written(folder, GOOD)
    assert problem(sagakit, "mine:tills") == "mine:tills is a Module and no App; it has bank"


def test_a_module_that_imports_what_is_not_there(folder: Path, sagakit: Sagakit) -> None:
    written(folder, "\nimport nobody_has_this\n")
    assert problem(sagakit, "mine:bank") == (
        "mine cannot be imported: mine.py line 2: ModuleNotFoundError: No module named 'nobody_has_this'"
    )


def test_a_module_that_is_no_python(folder: Path, sagakit: Sagakit) -> None:
    written(folder, "x = 1\ndef (\n")
    assert problem(sagakit, "mine:bank") == "mine cannot be imported: mine.py line 2: invalid syntax"


def test_a_module_that_raises(folder: Path, sagakit: Sagakit) -> None:
    written(folder, "import json\n\njson.loads('{')\n")
    said = problem(sagakit, "mine:bank")
    assert said.startswith("mine cannot be imported: mine.py line 3: JSONDecodeError: ")


def test_a_module_that_ends_the_process(folder: Path, sagakit: Sagakit) -> None:
    written(folder, "import sys\nsys.exit(3)\n")
    assert problem(sagakit, "mine:bank") == "mine cannot be imported: mine.py line 2: SystemExit: 3"


def test_the_line_in_a_module_that_it_imports(folder: Path, sagakit: Sagakit) -> None:
    (folder / "yours.py").write_text("def go():\n    raise ValueError('two\\nlines')\n", encoding="utf-8")
    written(folder, "import yours\nyours.go()\n")
    assert problem(sagakit, "mine:bank") == "mine cannot be imported: yours.py line 2: ValueError: two lines"


def test_debug_shows_the_traceback(folder: Path, sagakit: Sagakit) -> None:
    written(folder, "raise ValueError('no')\n")
    said = sagakit("check", "mine:bank", "--debug")
    assert said.code == 1
    assert "Traceback (most recent call last)" in said.err
    assert said.err.endswith("sagakit: mine cannot be imported: mine.py line 1: ValueError: no\n")
