"""Two type checkers accept correct use, and flag every misuse where it stands."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest

from sagakit import App

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
MISUSES = HERE / "misuses.py"
ACCEPTED = HERE / "accepted"

Flagged = dict[str, dict[int, str]]


def run(*command: str) -> str:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr + done.stdout
    return done.stdout


def pyright() -> Flagged:
    """Errors by file and line."""
    found: Flagged = {}
    report = json.loads(run("pyright", "--outputjson", str(ACCEPTED), str(MISUSES)))
    assert report["summary"]["filesAnalyzed"] >= len(list(ACCEPTED.glob("*.py"))) + 1
    for one in report["generalDiagnostics"]:
        if one["severity"] == "error":
            lines = found.setdefault(one["file"], {})
            lines[one["range"]["start"]["line"] + 1] = one["message"]
    return found


def mypy() -> Flagged:
    """Errors by file and line."""
    found: Flagged = {}
    options = ("--strict", "--follow-imports=silent", "--explicit-package-bases", "--no-error-summary")
    for line in run("mypy", *options, "--show-absolute-path", str(ACCEPTED), str(MISUSES)).splitlines():
        match = re.match(r"(.+?):(\d+): error: (.*)", line)
        if match:
            found.setdefault(match[1], {})[int(match[2])] = match[3]
    return found


def planted() -> Iterator[tuple[str, range]]:
    """Each misuse: its number, and the lines on which it may be flagged."""
    text = MISUSES.read_text()
    lines = enumerate(text.splitlines(), 1)
    marks = {line: number for line, content in lines for number in re.findall(r"  # (\d+)", content)}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.stmt):
            decorators = getattr(node, "decorator_list", [])
            first = min((node.lineno, *(one.lineno for one in decorators)))
            body = getattr(node, "body", None)
            last = node.lineno if body is not None else node.end_lineno or node.lineno
            for line in [line for line in marks if first <= line <= last]:
                yield marks.pop(line), range(first, last + 1)
    assert not marks


@pytest.mark.timeout(300)
@pytest.mark.parametrize("checker", [pyright, mypy])
def test_misuses_are_flagged_and_nothing_else_is(checker: Callable[[], Flagged]) -> None:
    flagged = checker()
    misuses = flagged.pop(str(MISUSES), {})
    assert flagged == {}
    places = list(planted())
    caught = {number for number, lines in places if misuses.keys() & set(lines)}
    assert {number for number, _ in places} - caught == set()
    allowed = {line for _, lines in places for line in lines}
    assert {line: message for line, message in misuses.items() if line not in allowed} == {}


def test_there_are_misuses() -> None:
    assert {int(number) for number, _ in planted()} == set(range(1, 91))


@pytest.mark.parametrize("name", ["hotel.app", "more.shop", "subscriptions.app", "readme.shop", "running.shop"])
def test_what_the_checkers_accept_can_run(name: str) -> None:
    module, _, attribute = name.partition(".")
    app = getattr(import_module(f"tests.typing.accepted.{module}"), attribute)
    assert isinstance(app, App)
    app.check()
