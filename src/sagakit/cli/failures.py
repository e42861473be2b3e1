"""Every error as one line on stderr, and its exit code: the one place that knows both."""

from __future__ import annotations

import sys
from typing import cast

import typer

from sagakit.cli.terminal import plain
from sagakit.errors import DeclarationError, LeaseLost, RetryableError, TerminalError

INTERRUPTED = 130
BROKEN_PIPE = 141
USAGE = 2
LEASE_LOST = 3
"""Others go on with what this worker owned: whoever keeps it running starts it anew."""

# Of typer's errors only this one is public; its base is what every wrong use of the command line raises.
_WrongUse = cast(type[Exception], typer.BadParameter.__mro__[1])


class Failure(Exception):
    """Something that the user can put right; the text is the line."""


class WrongUse(Failure):
    """The command line itself is wrong."""


def tell(error: BaseException) -> int:
    """Say in a line what went wrong. The exit code."""
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return INTERRUPTED
    lines, code = _in_lines(error)
    for line in lines:
        sys.stderr.write(f"{line}\n")
    return code


def _in_lines(error: BaseException) -> tuple[list[str], int]:
    if isinstance(error, _WrongUse):
        return _usage(error), USAGE
    if isinstance(error, DeclarationError):
        return [f"sagakit: {plain(line)}" if at == 0 else plain(line) for at, line in _numbered(str(error))], 1
    if isinstance(error, WrongUse):
        return [f"sagakit: {plain(str(error))}"], USAGE
    if isinstance(error, Failure | TerminalError | RetryableError):
        code = LEASE_LOST if isinstance(error, LeaseLost) else 1
        return [f"sagakit: {plain(str(error) or type(error).__name__)}"], code
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        return [f"sagakit: {plain(error.strerror + where)}"], 1
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return [f"sagakit: unexpected {plain(text)} (--debug shows where)"], 1


def _usage(error: Exception) -> list[str]:
    """What is wrong with the words of the command line; the whole help where there are none."""
    message = cast(str, getattr(error, "format_message", error.__str__)()).strip()
    if type(error).__name__ == "NoArgsIsHelpError":
        return message.splitlines()
    command = getattr(getattr(error, "ctx", None), "command_path", "sagakit")
    message = message[0].lower() + message[1:].rstrip(".")
    return [f"{command}: {plain(message)} (see {command} --help)"]


def _numbered(text: str) -> list[tuple[int, str]]:
    return list(enumerate(text.splitlines()))
