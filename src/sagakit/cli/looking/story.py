"""A story drawn as a tree: each message under the one that caused it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from rich.text import Text

from sagakit.cli.terminal import clock, note, show, table, terminal, text, time, width
from sagakit.core.commit import Envelope

_BESIDE = 64
"""Columns that the numbers, times and a long name take beside the branches."""
_DEEPEST = 40


def story(messages: Sequence[Envelope], rest: str | None) -> None:
    """Draw a page of a story."""
    if not messages:
        note("no message")
        return
    numbers = {message.id: number for number, message in enumerate(messages, 1)}
    rows = table("#", "RECORDED (UTC)", "KIND", "MESSAGE")
    for line in _lines(messages, _deepest()):
        message = line.message
        label = Text.assemble(Text(line.branches, "dim"), text(message.type), Text(_beside(line, numbers), "dim"))
        rows.add_row(str(numbers[message.id]), clock(message.recorded_at), message.kind, label)
    show(Text(f"correlation {messages[0].correlation_id}, from {time(messages[0].recorded_at)} UTC", "dim"), rows)
    if rest is not None:
        note(f"there is more: --next {rest}")


class _Line:
    """One message of the tree: `ahead` is drawn before the messages that it caused."""

    __slots__ = ("ahead", "branches", "depth", "message", "root")

    def __init__(self, message: Envelope, depth: int, branches: str, ahead: str) -> None:
        self.message, self.depth, self.branches, self.ahead = message, depth, branches, ahead
        self.root = depth == 0


def _lines(messages: Sequence[Envelope], deepest: int) -> Iterator[_Line]:
    """The tree from its roots down. What is too deep to be drawn is a root of its own, later on."""
    known = {message.id for message in messages}
    caused: defaultdict[str, list[Envelope]] = defaultdict(list)
    roots: list[Envelope] = []
    for message in messages:
        cause = message.causation_id
        if cause is None or cause not in known or cause == message.id:
            roots.append(message)
        else:
            caused[cause].append(message)
    for root in roots:  # grows while it is read
        stack = [_Line(root, 0, "", "")]
        while stack:
            line = stack.pop()
            yield line
            children = caused[line.message.id]
            if line.depth == deepest:
                roots += children
                continue
            stack += [_under(line, child, last=child is children[-1]) for child in reversed(children)]


def _under(line: _Line, child: Envelope, *, last: bool) -> _Line:
    branch, ahead = ("└ ", "  ") if last else ("├ ", "│ ")
    return _Line(child, line.depth + 1, line.ahead + branch, line.ahead + ahead)


def _beside(line: _Line, numbers: dict[str, int]) -> str:
    """What the branches do not show."""
    message = line.message
    words = ""
    if message.undoes == "":
        words += "  undoes the process"
    elif message.undoes is not None:
        words += f"  undoes {numbers.get(message.undoes, message.undoes)}"
    if line.root and message.causation_id is not None:
        words += f"  caused by {numbers.get(message.causation_id, message.causation_id)}"
    return words


def _deepest() -> int:
    return max(4, (width() - _BESIDE) // 2) if terminal() else _DEEPEST
