"""What a demo tells, line by line: coloured on a terminal, plain on a pipe, and never in its way."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from queue import Full, Queue
from typing import Any, Literal, TypeAlias

from rich.console import Console
from rich.text import Text

Kind: TypeAlias = Literal["begin", "step", "refusal", "undo", "done", "cancelled", "note"]
_STYLES: Mapping[Kind, str] = {
    "begin": "bold",
    "step": "",
    "refusal": "yellow",
    "undo": "magenta",
    "done": "bold green",
    "cancelled": "bold red",
    "note": "dim",
}
_KEPT = 10_000
"""Lines that wait for a reader who has paused; past it lines are left out, and counted."""


@dataclass(frozen=True)
class Line:
    """One line, for whoever shows it. `subject`: the order, guest or group that it is about."""

    kind: Kind
    subject: str
    what: str
    detail: str
    at: datetime


class Terminal:
    """Writes lines from a thread of its own: a pipe that nobody reads, or a terminal that is held, stops no process."""

    def __init__(self, **console: Any) -> None:
        self.console = _Console(highlight=False, soft_wrap=True, **console)
        self._lines: Queue[Text | None] = Queue(_KEPT)
        self._left_out = 0
        self._gone = False
        self._thread = threading.Thread(target=self._write, name="sagakit demo terminal", daemon=True)

    def open(self, greeting: Text) -> None:
        """Write this first, and then what was shown meanwhile."""
        self._put(greeting)
        self._thread.start()

    def show(self, line: Line) -> None:
        """Write a line; it is left out if too many wait already."""
        self.print(_drawn(line))

    def print(self, text: Text | str) -> None:
        """Write any text."""
        try:
            self._lines.put_nowait(Text(text) if isinstance(text, str) else text)
        except Full:
            self._left_out += 1

    def close(self, *, within: float = 1.0) -> None:
        """Write what still waits, as far as somebody reads it."""
        if not self._thread.is_alive():
            return
        try:
            self._lines.put(None, timeout=within)
        except Full:
            return
        self._thread.join(within)

    def _write(self) -> None:
        while (text := self._lines.get()) is not None:
            self._put(text)
            if self._lines.empty():
                self._tell_left_out()
        self._tell_left_out()

    def _tell_left_out(self) -> None:
        if self._left_out:
            left_out, self._left_out = self._left_out, 0
            self._put(Text(f"... {left_out} lines were left out: nobody read them in time", "dim"))

    def _put(self, text: Text) -> None:
        if self._gone:
            return
        try:
            self.console.print(text)
        except (OSError, ValueError):  # the reader has gone, or the stream is closed
            self._let_go()

    def _let_go(self) -> None:
        """Nobody reads any more: what is still in the stream's buffer goes nowhere, also at the end of the process."""
        self._gone = True
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.console.file.fileno())
            os.close(nowhere)


class _Console(Console):
    """Tells of a reader that has gone, where rich would end the process."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def _drawn(line: Line) -> Text:
    """Time, subject, what happened, and the numbers."""
    style = _STYLES[line.kind]
    drawn = Text(f"{line.at:%H:%M:%S}  ", "dim")
    drawn.append(f"{line.subject[:8]:8}  ", "cyan")
    drawn.append(f"{line.what:24}" if line.detail else line.what, style)
    if line.detail:
        drawn.append(f"  {_printable(line.detail)}", style if line.kind in ("refusal", "cancelled") else "")
    return drawn


def _printable(text: str) -> str:
    """Without what would move the cursor or change colours: names come from outside."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
