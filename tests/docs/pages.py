"""The pages of the documentation, taken apart: their blocks, headings and links."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^(\s*)```(\w*)(.*)$")
_TITLE = re.compile(r'title="([^"]+)"')
_HEADING = re.compile(r"^#{1,6} (.+)$")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_INLINE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block; `line` is that of its first line of text."""

    page: Path
    line: int
    language: str
    title: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True)
class Page:
    """A page: its blocks, and its prose without them (with the same line numbers)."""

    path: Path
    blocks: tuple[Block, ...]
    prose: tuple[str, ...]

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    def headings(self) -> Iterator[str]:
        """Its headings, as they are written."""
        for line in self.prose:
            if found := _HEADING.match(line):
                yield found[1]

    def anchors(self) -> set[str]:
        """What `#...` in a link may name, by GitHub's rule."""
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in self.headings()}

    def links(self) -> Iterator[tuple[int, str]]:
        """The targets of its links, with their lines."""
        for number, line in enumerate(self.prose, 1):
            for found in _LINK.finditer(_INLINE.sub("", line)):
                yield number, found[1]

    def inline(self) -> Iterator[tuple[int, str]]:
        """What stands between backticks in its prose, with its line."""
        for number, line in enumerate(self.prose, 1):
            for found in _INLINE.finditer(line):
                yield number, found[1]


def read(path: Path) -> Page:
    """A page, taken apart."""
    blocks: list[Block] = []
    prose: list[str] = []
    begun: tuple[int, str, str] | None = None
    text: list[str] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fence = _FENCE.match(line)
        if fence is not None:
            assert not fence[1], f"{path}:{number}: a fence that is indented is not checked"
            if begun is None:
                title = _TITLE.search(fence[3])
                begun, text = (number + 1, fence[2], title[1] if title else ""), []
            else:
                blocks.append(Block(path, *begun, "".join(f"{one}\n" for one in text)))
                begun = None
        elif begun is not None:
            text.append(line)
        prose.append("" if begun is not None or fence is not None else line)
    assert begun is None, f"{path}: its last block does not end"
    return Page(path, tuple(blocks), tuple(prose))


def all_pages() -> Sequence[Page]:
    """Every page that readers are sent to."""
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    return [read(path) for path in (*top, *sorted(DOCS.rglob("*.md")))]


@dataclass(frozen=True)
class Project:
    """Pages that are worked through in one folder, in their order, and what lies in it at the start."""

    name: str
    pages: tuple[Page, ...]
    seed: Path | None = None

    @property
    def folder(self) -> str:
        return re.sub(r"\W", "_", self.name)


def projects() -> Sequence[Project]:
    """What the blocks of the pages are run in: the tutorial as a whole, every other page by itself."""
    pages = [page for page in all_pages() if any(block.language in ("python", "console") for block in page.blocks)]
    tutorial = tuple(page for page in pages if page.path.parent == DOCS / "tutorial")
    rest = [page for page in pages if page not in tutorial]
    return [Project("tutorial", tutorial), *(Project(page.name, (page,), _seed(page)) for page in rest)]


def _seed(page: Page) -> Path | None:
    """A page may build on the files of an example."""
    example = DOCS / "examples" / page.path.stem.lower()
    return example if example.is_dir() else None


def script(page: Page) -> str:
    """The blocks without a title as one program. Each line has the number that it has on the page."""
    lines = [""] * len(page.prose)
    for block in page.blocks:
        if block.language == "python" and not block.title:
            for offset, line in enumerate(block.text.splitlines()):
                lines[block.line - 1 + offset] = line
    text = "\n".join(lines).rstrip() + "\n"
    return text if text.strip() else ""
