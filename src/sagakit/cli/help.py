"""`sagakit --help`: every command on one screen, by what one wants to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from typer.core import TyperCommand, TyperGroup

LONGEST = 34
"""Letters of a command with its arguments."""


class Overview(TyperGroup):
    """The command `sagakit`: its help lists the commands of its groups too, section by section."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the sections. Called by typer."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for section, words, text in self._every(ctx):
            sections.setdefault(section, []).append((words, text))
        for section, rows in sections.items():
            with formatter.section(section):
                formatter.write_dl(rows, col_max=LONGEST)

    def _every(self, ctx: Any) -> Iterator[tuple[str, str, str]]:
        commands: dict[str, Any] = dict(self.commands)
        for name, command in sorted(commands.items(), key=lambda item: _PLACES.index(item[0])):
            inner: dict[str, Any] = getattr(command, "commands", {"": command})
            for last, one in inner.items():
                takes = [_argument(param) for param in _arguments(one)]
                section = getattr(one, "rich_help_panel", None)
                yield (
                    section if isinstance(section, str) else command.rich_help_panel,
                    " ".join(filter(None, (name, last, *takes))),
                    _first_line(one.help),
                )


_PLACES = (
    "demo",
    "run",
    "check",
    "map",
    "versions",
    "verify",
    "processes",
    "messages",
    "deliveries",
    "workers",
    "pause",
    "resume",
    "migrate",
    "backup",
    "copy",
    "bench",
)


class Command(TyperCommand):
    """A command: its usage names arguments as the overview does."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Called by typer."""
        return [self.options_metavar or "", *(_argument(param) for param in _arguments(self))]


def _arguments(command: Any) -> list[Any]:
    return [param for param in command.params if param.param_type_name == "argument"]


def _argument(param: Any) -> str:
    return param.metavar if param.required else f"[{param.metavar}]"


def _first_line(help: str | None) -> str:
    return (help or "").partition("\n")[0].rstrip(".")
