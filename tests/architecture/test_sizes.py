"""What grows past these bounds wants to be two things."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

LINES_OF_A_FUNCTION = 60
LINES_OF_A_MODULE = 400
FILES_OF_A_FOLDER = 12

SOURCE = Path(__file__).parents[2] / "src" / "sagakit"
GENERATED = ("_pb2.py", "_pb2_grpc.py")


def modules() -> list[Path]:
    return [path for path in sorted(SOURCE.rglob("*.py")) if not path.name.endswith(GENERATED)]


def functions(module: Path) -> Iterator[tuple[str, int]]:
    """Each function with its lines, from `def` to its end: decorators are not counted, what is nested in it is."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"), str(module))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield f"{module.relative_to(SOURCE)}:{node.lineno} {node.name}", node.end_lineno - node.lineno + 1


def test_there_is_something_to_measure() -> None:
    assert modules()


def test_no_function_is_too_long() -> None:
    sizes = {name: lines for module in modules() for name, lines in functions(module)}
    assert {name: lines for name, lines in sizes.items() if lines > LINES_OF_A_FUNCTION} == {}


def test_no_module_is_too_long() -> None:
    sizes = {str(path.relative_to(SOURCE)): path.read_text(encoding="utf-8").count("\n") for path in modules()}
    assert {name: lines for name, lines in sizes.items() if lines > LINES_OF_A_MODULE} == {}


def test_no_folder_is_too_full() -> None:
    sizes = Counter(str(module.parent.relative_to(SOURCE)) for module in modules())
    assert {name: files for name, files in sizes.items() if files > FILES_OF_A_FOLDER} == {}
