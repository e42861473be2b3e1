"""The account on a terminal, on a pipe, and where nobody reads it."""

import io
import os
import threading
from datetime import UTC, datetime

import pytest
from rich.text import Text

from sagakit.demos import terminal as terminals
from sagakit.demos.terminal import Line, Terminal

AT = datetime(2026, 1, 1, 12, 3, 1, tzinfo=UTC)


def line(detail: str = "prod_1 15 -> 13 free", kind: str = "step") -> Line:
    return Line(kind, "7f3a91bc0d", "stock reserved", detail, AT)  # type: ignore[arg-type]


def written(*lines: Line, **console: object) -> str:
    file = io.StringIO()
    terminal = Terminal(file=file, **console)
    for one in lines:
        terminal.show(one)
    terminal.open(Text("The shop is open"))
    terminal.close(within=60)
    return file.getvalue()


def test_a_pipe_gets_plain_lines() -> None:
    assert written(line()) == "The shop is open\n12:03:01  7f3a91bc  stock reserved            prod_1 15 -> 13 free\n"


def test_a_long_line_is_one_line() -> None:
    assert written(line("x" * 500)).count("\n") == 2


def test_a_terminal_gets_colours() -> None:
    assert "\x1b[" in written(line(kind="undo"), force_terminal=True, color_system="standard")


def test_what_clients_send_moves_no_cursor() -> None:
    shown = written(line("\x1b[2J\r\n[red]not markup[/]\u202e"), force_terminal=True)
    assert "\x1b[2J" not in shown
    assert "[red]not markup[/]" in shown
    assert shown.count("\n") == 2


def test_a_reader_that_has_gone_stops_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", buffering=1) as file:
        terminal = Terminal(file=file)
        terminal.open(Text("The shop is open"))
        for _ in range(100):
            terminal.show(line())
        terminal.close()


def test_a_reader_that_does_not_read_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminals, "_KEPT", 1_000)  # fewer to draw, where the machine is slow
    reading, writing = os.pipe()
    with os.fdopen(reading, "r") as reader, os.fdopen(writing, "w") as file:
        terminal = Terminal(file=file)
        terminal.open(Text("The shop is open"))
        for _ in range(12_000):
            terminal.show(line())
        terminal.close(within=0.01)
        read: list[str] = []

        def read_on() -> None:
            while line := reader.readline():
                read.append(line)
                if "were left out" in line:
                    return

        thread = threading.Thread(target=read_on, daemon=True)
        thread.start()
        thread.join(100)
        assert not thread.is_alive()
    left_out = int(read[-1].split()[1])
    assert left_out + len(read) - 2 == 12_000
