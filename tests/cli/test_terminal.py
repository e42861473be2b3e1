from __future__ import annotations

import pytest

from sagakit.cli import terminal


@pytest.mark.parametrize(
    ("microseconds", "words"),
    [
        (0, "0 ms"),
        (4_200, "4 ms"),
        (1_500_000, "1.5 s"),
        (119_000_000, "119.0 s"),
        (300_000_000, "5 min"),
        (7_200_000_000, "2 h"),
        (1_000_000_000_000, "12 d"),
    ],
)
def test_a_length_of_time(microseconds: int, words: str) -> None:
    assert terminal.lasting(microseconds) == words


@pytest.mark.parametrize(
    ("size", "words"), [(1, "1 byte"), (999, "999 bytes"), (90_112, "90.1 kB"), (2_500_000_000, "2.5 GB")]
)
def test_a_size(size: int, words: str) -> None:
    assert terminal.bytes_in_words(size) == words


def test_times_are_utc() -> None:
    at = 1_795_262_400_123_456
    assert terminal.time(at) == "2026-11-21 12:00:00"
    assert terminal.clock(at) == "12:00:00.123"
    assert terminal.time(None) == ""


def test_control_characters_are_shown_and_not_obeyed() -> None:
    assert terminal.plain("a\x1b[31mb\r\nc\u202ed") == "a\\x1b[31mb\\x0d c\\x202ed"


def test_a_pipe_gets_no_colours_unless_it_asks(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.show(terminal.text("red", "red"))
    terminal.note("beside")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("red\n", "beside\n")
