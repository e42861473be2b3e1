"""The commands of `sagakit`, as the documentation is held against them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import typer.main

from sagakit.cli import app

PROGRAM = "sagakit"


def commands() -> Mapping[str, Any]:
    """Every command by the words that call it."""
    return dict(_leaves(typer.main.get_command(app), (PROGRAM,)))


def _leaves(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    inner: Mapping[str, Any] = getattr(command, "commands", {})
    if not inner:
        yield " ".join(words), command
    for name, one in inner.items():
        yield from _leaves(one, (*words, name))


def options_of(command: Any) -> Mapping[str, str]:
    """The options of a command: every name, with the first one that means the same."""
    shown = [param for param in command.params if param.param_type_name == "option" and not param.hidden]
    return {name: param.opts[0] for param in shown for name in param.opts}


def problem(words: Sequence[str], *, whole: bool = True) -> str | None:
    """What the command line would say against these words; None if it would take them. `whole`: nothing is left out."""
    if words[1:] and words[1].startswith("-"):
        known = {opt for param in typer.main.get_command(app).params for opt in param.opts} | {"--help", "-h"}
        return None if set(words[1:]) <= known else f"unknown option among {words[1:]}"
    known = commands()
    for count in (3, 2):
        name = " ".join(words[:count])
        if name in known:
            return _problem(known[name], name, [_filled(word) for word in words[count:]], whole)
    return "no such command"


def _problem(command: Any, name: str, arguments: list[str], whole: bool) -> str | None:
    if "--help" in arguments:
        return None
    try:
        command.make_context(name, arguments)
    except Exception as error:  # typer has no public base class of its errors
        if not whole and type(error).__name__ == "MissingParameter":
            return None
        return str(getattr(error, "format_message", error.__str__)())
    return None


def _filled(word: str) -> str:
    """A word of a line as somebody would type it."""
    return "1" if word == "N" else word
