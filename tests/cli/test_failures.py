"""Errors: one line on stderr and an exit code, whatever went wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import apsw
import pytest
import typer
from tests.cli import stories
from tests.cli.conftest import Sagakit

from sagakit.cli.failures import Failure, WrongUse, tell
from sagakit.errors import DeclarationError, StoreFailed, StoreInUse

READING = [
    ["processes", "list"],
    ["processes", "show", "x"],
    ["processes", "history", "x"],
    ["messages", "list", "--correlation", "x"],
]


@pytest.mark.parametrize(
    ("error", "line", "code"),
    [
        (Failure("no such thing"), "sagakit: no such thing\n", 1),
        (WrongUse("no such option"), "sagakit: no such option\n", 2),
        (StoreInUse("shop.db is in use"), "sagakit: shop.db is in use\n", 1),
        (StoreFailed("two\nlines"), "sagakit: two lines\n", 1),
        (StoreFailed(""), "sagakit: StoreFailed\n", 1),
        (PermissionError(13, "Permission denied", "out.json"), "sagakit: Permission denied: out.json\n", 1),
        (ZeroDivisionError("division by zero"), "sagakit: unexpected ZeroDivisionError: division by zero (", 1),
        (AssertionError(), "sagakit: unexpected AssertionError (--debug shows where)\n", 1),
        (DeclarationError("shop", ["one", "two"]), "sagakit: the app 'shop' cannot run:\n  - one\n  - two\n", 1),
        (KeyboardInterrupt(), "", 130),
        (typer.Abort(), "", 130),
    ],
)
def test_an_error_in_lines(capsys: pytest.CaptureFixture[str], error: BaseException, line: str, code: int) -> None:
    assert tell(error) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(line)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["nope"], "sagakit: no such command 'nope' (see sagakit --help)\n"),
        (["processes", "lst"], "sagakit processes: no such command 'lst'. Did you mean 'list'?"),
        (["processes", "show"], "sagakit processes show: missing argument"),
        (["processes", "list", "--limit", "0"], "sagakit processes list: invalid value for '--limit': "),
        (["processes", "list", "--what"], "sagakit processes list: no such option: --what"),
        (["demo", "motel"], "sagakit: there is no demo motel; the demos: shop, hotel, subscriptions\n"),
        (
            ["demo", "hotel", "--service", "order"],
            "sagakit: --service, --at and --kafka are for the shop: hotel is one process\n",
        ),
        (["demo", "--at", "order=x:1"], "sagakit: --at says where other parts are: give --service too\n"),
        (["demo", "--service", "till"], "sagakit demo: invalid value for '--service': "),
        (["run", "a:b", "--port", "70000"], "sagakit run: invalid value for '--port': "),
        (["migrate"], "sagakit: which database? give --db PATH_OR_URL, or set SAGAKIT_DB\n"),
    ],
)
def test_a_wrong_use_is_one_line(sagakit: Sagakit, words: list[str], line: str) -> None:
    said = sagakit(*words)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(line)
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_a_file_that_is_not_there(sagakit: Sagakit, tmp_path: Path, words: list[str]) -> None:
    said = sagakit(*words, "--db", tmp_path / "shop.db")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(f"sagakit: {tmp_path / 'shop.db'} does not exist")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [*READING, ["migrate"], ["backup", "copy.db"]], ids=" ".join)
def test_a_file_that_is_no_database(
    sagakit: Sagakit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("milk, eggs\n" * 200, encoding="utf-8")
    said = sagakit(*words, "--db", "notes.txt")
    assert (said.code, said.out) == (1, "")
    assert said.err == ("sagakit: notes.txt is not an SQLite database: give another path, or move that file away\n")


@pytest.mark.parametrize("words", [*READING, ["migrate"], ["backup", "copy.db"]], ids=" ".join)
def test_a_schema_too_new(sagakit: Sagakit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    db = stories.write(tmp_path / "shop.db", [stories.completed()])
    connection = apsw.Connection(str(db))
    connection.execute("UPDATE store SET schema_version = 99, oldest_code = 99")
    connection.close()
    said = sagakit(*words, "--db", "shop.db")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("sagakit: shop.db has schema 99, ")
    assert said.err.endswith(": upgrade sagakit\n")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("url", "what"), [("postgres://127.0.0.1:1/y", "does not answer"), ("what://x", "names no store")]
)
def test_a_store_that_there_is_not(sagakit: Sagakit, url: str, what: str) -> None:
    said = sagakit("processes", "list", "--db", url)
    assert (said.code, said.out) == (1, "")
    assert what in said.err
    assert said.err.count("\n") == 1


def test_debug_shows_the_traceback_wherever_it_stands(sagakit: Sagakit, tmp_path: Path) -> None:
    for words in (["--debug", "processes", "list"], ["processes", "list", "--debug"]):
        said = sagakit(*words, "--db", tmp_path / "shop.db")
        assert said.code == 1
        assert said.err.startswith("Traceback (most recent call last)")
        assert said.err.splitlines()[-1].startswith("sagakit: ")


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    db = stories.write(tmp_path / "shop.db", [stories.completed(f"order-{n}") for n in range(2000)])
    words = [sys.executable, "-m", "sagakit", "processes", "list", "--db", db, "--limit", "2000"]
    # unbuffered, Python takes a write that was cut short for a whole one
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    for more in ([], ["--json"]):
        with subprocess.Popen([*words, *more], env=buffered, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.readline()
            process.stdout.close()
            assert process.stderr.read() == b""
            assert process.wait() == 141
