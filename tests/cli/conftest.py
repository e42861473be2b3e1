"""The command line as its users meet it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec
import pytest
from tests.cli import stories

from sagakit.cli import run

ANSI = re.compile(r"\x1b\[[0-9;]*m")
PATIENCE = 60.0
"""Seconds after which what another process or thread brings about is not coming."""

_T = TypeVar("_T")


def until(find: Callable[[], _T]) -> _T:
    """What is found, once it is."""
    end = time.monotonic() + PATIENCE
    while not (found := find()):
        assert time.monotonic() < end, f"not within {PATIENCE:g} s"
        time.sleep(0.01)
    return found


@dataclass(frozen=True)
class Said:
    """What one command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return msgspec.json.decode(self.out)


class Sagakit(Protocol):
    def __call__(self, *words: object) -> Said: ...


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SAGAKIT_DB", "COLUMNS", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def sagakit(capsys: pytest.CaptureFixture[str]) -> Sagakit:
    """Run a command as on a pipe, in this process."""

    def running(*words: object) -> Said:
        capsys.readouterr()
        code = run([str(word) for word in words])
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return running


@pytest.fixture
def on_terminal(sagakit: Sagakit, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sagakit]:
    """Run a command as on a terminal of 100 columns; what it says comes without colours."""
    for name, value in (("FORCE_COLOR", "1"), ("TERM", "xterm"), ("COLUMNS", "100")):
        monkeypatch.setenv(name, value)

    def running(*words: object) -> Said:
        said = sagakit(*words)
        assert "\x1b[" in said.out, "a terminal gets colours"
        lines = ANSI.sub("", said.out).splitlines()
        assert max(map(len, lines)) <= 100
        return Said(said.code, "".join(f"{line.rstrip()}\n" for line in lines), said.err)

    return running


@pytest.fixture(scope="session")
def shop_db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with one process of each kind."""
    return stories.write(tmp_path_factory.mktemp("shop") / "shop.db", stories.everything())
