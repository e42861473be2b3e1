"""What must not be in the source: calls that run data as code, clocks and chance in the core, paths of one machine."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "sagakit"

RUNS_DATA_AS_CODE = {"eval", "exec", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "os.system", "os.popen"}
LOADS_DATA_AS_CODE = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "marshal", "shelve"}
CLOCK_OR_CHANCE = {
    "datetime.now",
    "datetime.today",
    "datetime.utcnow",
    "date.today",
    "uuid.uuid1",
    "uuid.uuid4",
    "uuid1",
    "uuid4",
    "open",
    "print",
    "input",
}

# Written in parts, so that this file is not one of its own findings.
FOLDERS = ("ro" + "ot", "wo" + "rk", "ho" + "me", "Us" + "ers")
MACHINE_PATH = re.compile(rf"(?<![\w.$~}}])/({'|'.join(FOLDERS)})/")


def nodes(folder: Path) -> Iterator[tuple[str, ast.AST]]:
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
            yield f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}", node


def called(node: ast.AST) -> str:
    """The dotted name that a call calls, or nothing."""
    return ast.unparse(node.func) if isinstance(node, ast.Call) else ""


def imported(node: ast.AST) -> set[str]:
    """The top-level packages that an import statement names."""
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.module:
        return {node.module.partition(".")[0]}
    return set()


def through_a_shell(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    if called(node).endswith("create_subprocess_shell"):
        return True
    return any(
        keyword.arg == "shell" and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False)
        for keyword in node.keywords
    )


def reads_the_world(call: str) -> bool:
    return call in CLOCK_OR_CHANCE or call.removeprefix("datetime.") in CLOCK_OR_CHANCE


def tracked() -> list[Path]:
    """The repository's files: those under version control, and new ones that are not ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("not a checkout")
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def test_nothing_runs_data_as_code() -> None:
    assert [f"{where} {called(node)}" for where, node in nodes(SOURCE) if called(node) in RUNS_DATA_AS_CODE] == []


def test_nothing_loads_data_as_code() -> None:
    assert [f"{where} {found}" for where, node in nodes(SOURCE) if (found := imported(node) & LOADS_DATA_AS_CODE)] == []


def test_nothing_goes_through_a_shell() -> None:
    assert [where for where, node in nodes(SOURCE) if through_a_shell(node)] == []


def test_the_core_has_no_clock_and_no_chance() -> None:
    found = [f"{where} {called(node)}" for where, node in nodes(SOURCE / "core") if reads_the_world(called(node))]
    assert found == []


def lines_of(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        return []


def test_no_path_of_one_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked()
        for number, line in enumerate(lines_of(path), 1)
        if MACHINE_PATH.search(line)
    ]
    assert found == []
