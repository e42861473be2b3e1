"""The documentation runs, type-checks, and names what is there."""

from __future__ import annotations

import doctest
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.command_line import PROGRAM, commands, options_of, problem
from tests.docs.pages import DOCS, ROOT, Block, Page, Project, all_pages, projects, read, script

RUNS = ("python", "pytest", PROGRAM)
"""What a `console` block may call: each such line is run, and must say what stands under it."""
KILLED = -9

_DIFFERS = (
    re.compile(r"\b[0-9a-f]{32}\b"),
    re.compile(r"\b\d{4}-\d\d-\d\d\b"),
    re.compile(r"\b\d\d:\d\d:\d\d(\.\d+)?"),
)

_checker = doctest.OutputChecker()


# ---------------------------------------------------------------------- what is run


@pytest.mark.timeout(360)  # the tutorial starts an interpreter for each of its steps
@pytest.mark.parametrize("project", projects(), ids=lambda project: project.name)
def test_what_a_page_shows_runs_and_says_what_it_shows(project: Project, tmp_path: Path) -> None:
    if project.seed is not None:
        shutil.copytree(project.seed, tmp_path, dirs_exist_ok=True)
    for page in project.pages:
        for block in page.blocks:
            if block.title:
                (tmp_path / block.title).write_text(block.text, encoding="utf-8")
            elif block.language == "console":
                _run_console(block, tmp_path)
        if program := script(page):
            _run_script(page, program, tmp_path)


def _run_script(page: Page, program: str, folder: Path) -> None:
    """The blocks of a page in one namespace; `main`, where they define it, is run at the end."""
    runner = (
        "import asyncio, sys\n"
        "name, program = sys.argv[1:]\n"
        "exec(compile(program, name, 'exec'), globals())\n"
        "if 'main' in globals(): asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", runner, page.name, program]
    done = subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{page.name}:\n{done.stdout}{done.stderr}"


def _run_console(block: Block, folder: Path) -> None:
    for number, command, shown in _commands(block):
        where = f"{block.page.relative_to(ROOT)}:{number}: $ {command}"
        done = subprocess.run(
            _found(command),
            cwd=folder,
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        said = done.stdout + ("Killed\n" if done.returncode == KILLED else "")
        same = _checker.check_output(_plain(shown), _plain(said), doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
        assert same, f"{where}\nshown:\n{shown}\nsaid:\n{said}"


def _commands(block: Block) -> Iterator[tuple[int, str, str]]:
    """The commands of a console block, each with its line and the output under it."""
    for found in re.finditer(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block.text, re.MULTILINE):
        command, shown = found[1], found[2]
        number = block.line + block.text[: found.start()].count("\n")
        assert shlex.split(command)[0] in RUNS, f"{block.where}: a console block calls one of {RUNS}, not {command}"
        yield number, command, shown


def _found(command: str) -> list[str]:
    program, *arguments = shlex.split(command)
    return [sys.executable, *(() if program == "python" else ("-m", program)), *arguments]


def _plain(text: str) -> str:
    """Without what differs from run to run: ids, dates, times and durations."""
    for differs in _DIFFERS:
        text = differs.sub(lambda found: re.sub(r"[0-9a-f]", "0", found[0]), text)
    return text.strip() + "\n"


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "SAGAKIT", "COV"))}
    return kept | {"PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "COLUMNS": "120"}


def test_the_readme_shows_the_example_as_it_is() -> None:
    shown = [block for block in read(ROOT / "README.md").blocks if block.title]
    assert shown
    for block in shown:
        assert block.text == (DOCS / "examples" / "readme" / block.title).read_text(encoding="utf-8"), block.where


# ---------------------------------------------------------------------- what is type-checked


def test_the_code_of_the_pages_type_checks(tmp_path: Path) -> None:
    for project in projects():
        folder = tmp_path / project.folder
        folder.mkdir()
        if project.seed is not None:
            shutil.copytree(project.seed, folder, dirs_exist_ok=True)
        for page in project.pages:
            for block in page.blocks:
                if block.language == "python" and block.title:  # its lines have the numbers that they have on the page
                    (folder / block.title).write_text("\n" * (block.line - 1) + block.text, encoding="utf-8")
            if program := script(page):
                (folder / f"{re.sub(r'[^a-z]', '_', page.path.stem.lower())}_page.py").write_text(program)
    (tmp_path / "pyrightconfig.json").write_text(
        json.dumps({"typeCheckingMode": "strict", "pythonVersion": "3.11", "extraPaths": [str(ROOT / "src")]})
    )
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--project", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout.replace(str(tmp_path), "")


# ---------------------------------------------------------------------- what is named


@pytest.mark.parametrize("page", all_pages(), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Page) -> None:
    assert list(_dead_links(page)) == []


def _dead_links(page: Page) -> Iterator[str]:
    for number, target in page.links():
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.path.parent / path).resolve() if path else page.path
        if not file.exists() or not file.is_relative_to(ROOT):
            yield f"{page.name}:{number}: {target}"
        elif anchor and (file.suffix != ".md" or anchor not in read(file).anchors()):
            yield f"{page.name}:{number}: {target}: no such heading"


def test_every_page_is_linked_from_another() -> None:
    linked = {
        (page.path.parent / target.partition("#")[0]).resolve()
        for page in all_pages()
        for _, target in page.links()
        if not re.match(r"[a-z]+:", target) and target.partition("#")[0]
    }
    alone = [page.name for page in all_pages() if page.path != ROOT / "README.md" and page.path not in linked]
    assert alone == []


def test_the_architecture_names_files_that_are_there() -> None:
    source = ROOT / "src" / "sagakit"
    there = {path.name for path in source.rglob("*") if "__pycache__" not in path.parts}
    pages = [page for page in all_pages() if page.path.stem == "architecture" or page.path.parent.stem == "decisions"]
    layout = [word for page in pages for block in page.blocks for word in block.text.split()]
    named = {word for word in layout if re.fullmatch(r"[a-z_]+\.(py|sql)", word)}
    assert named <= there
    paths = {code for page in pages for _, code in page.inline() if re.fullmatch(r"[a-z_]+/[a-z_/]*(\.[a-z]+)?", code)}
    assert [path for path in sorted(paths) if not (source / path).exists() and not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", all_pages(), ids=lambda page: page.name)
def test_the_command_line_takes_what_pages_say(page: Page) -> None:
    found = [
        f"{where}: {line}: {wrong}"
        for where, line, whole in _lines(page)
        if (wrong := problem(_words(line), whole=whole))
    ]
    assert found == []


def _lines(page: Page) -> Iterator[tuple[str, str, bool]]:
    """Every line that calls `sagakit`, and whether it could be typed as it stands."""
    for block in page.blocks:
        for offset, line in enumerate(block.text.splitlines()):
            if block.language in ("sh", "console") and line.removeprefix("$ ").startswith(f"{PROGRAM} "):
                yield f"{page.name}:{block.line + offset}", line.removeprefix("$ "), True
    for number, code in page.inline():
        if code.startswith(f"{PROGRAM} ") and "..." not in code:
            yield f"{page.name}:{number}", code, False


def _words(line: str) -> list[str]:
    words = shlex.split(line, comments=True)
    for end in ("|", ">", "&"):
        if end in words:
            words = words[: words.index(end)]
    return words


@pytest.mark.parametrize("page", all_pages(), ids=lambda page: page.name)
def test_make_knows_the_targets_that_pages_name(page: Page) -> None:
    known = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = [line for block in page.blocks if block.language == "sh" for line in block.text.splitlines()]
    called = [*shown, *(code for _, code in page.inline())]
    targets = {word for line in called if line.startswith("make ") for word in line.split()[1:] if word.isalpha()}
    assert targets <= known


def test_the_reference_has_every_command_and_option() -> None:
    sections = _sections(DOCS / "reference" / "cli.md")
    known = commands()
    assert sections.keys() == known.keys()
    for name, command in known.items():
        options = options_of(command)
        named = _named(sections[name])
        assert named - {"--help"} <= options.keys(), name
        assert {options[option] for option in named & options.keys()} == set(options.values()), name


def _sections(path: Path) -> dict[str, str]:
    """The text under each heading that names a command."""
    parts = re.split(r"^#+ `(sagakit [^`]*)`$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {_called(name): text.partition("\n## ")[0] for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def _called(heading: str) -> str:
    return " ".join(word for word in heading.split() if not word.isupper() and ":" not in word and "[" not in word)


def _named(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))
