"""The command line: `sagakit`."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from sagakit.cli import running, upkeep, versions
from sagakit.cli.acting import deliveries, pauses
from sagakit.cli.acting import processes as processes_acted
from sagakit.cli.failures import BROKEN_PIPE, tell
from sagakit.cli.help import Command, Overview
from sagakit.cli.looking import map as app_map
from sagakit.cli.looking import messages, processes
from sagakit.cli.workers import members

RUN, LOOK, KEEP = "Run", "Look (also while an engine runs)", "Keep"
ACT = processes_acted.ACT

app = typer.Typer(
    name="sagakit",
    help="Durable business processes: run them, look at them, keep their database.",
    cls=Overview,
    no_args_is_help=True,
    subcommand_metavar="COMMAND",
    epilog="`sagakit COMMAND --help` says the rest. SAGAKIT_DB may stand for --db.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["--help", "-h"]},
)
app.command(cls=Command, rich_help_panel=RUN)(running.demo)
app.command(cls=Command, rich_help_panel=RUN)(running.run)
app.command(cls=Command, rich_help_panel=RUN)(running.check)
app.command(cls=Command, rich_help_panel=RUN)(running.bench)
app.command("map", cls=Command, rich_help_panel=RUN)(app_map.show_map)
app.command("versions", cls=Command, rich_help_panel=RUN)(versions.show_versions)
app.command("verify", cls=Command, rich_help_panel=RUN)(versions.verify)
app.add_typer(processes.app, rich_help_panel=LOOK)
app.add_typer(messages.app, rich_help_panel=LOOK)
app.add_typer(deliveries.app, rich_help_panel=LOOK)
app.add_typer(members.app, rich_help_panel=LOOK)
app.command(cls=Command, rich_help_panel=ACT)(pauses.pause)
app.command(cls=Command, rich_help_panel=ACT)(pauses.resume)
app.command(cls=Command, rich_help_panel=KEEP)(upkeep.migrate)
app.command(cls=Command, rich_help_panel=KEEP)(upkeep.backup)
app.command(cls=Command, rich_help_panel=KEEP)(upkeep.copy)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"sagakit {version('sagakit')}")
        raise typer.Exit


@app.callback()
def _everywhere(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error; works anywhere.")] = False,
) -> None:
    """The options of `sagakit` itself."""


def run(arguments: Sequence[str]) -> int:
    """Run one command. The exit code: 0, 1 for an error, 2 for a wrong use, 130 after Ctrl-C."""
    debug = "--debug" in arguments
    try:
        code = app([word for word in arguments if word != "--debug"], prog_name="sagakit", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except BrokenPipeError:
        return _nobody_reads()
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):
            return _nobody_reads()
        raise
    except (Exception, KeyboardInterrupt) as error:
        if debug and not isinstance(error, KeyboardInterrupt):
            traceback.print_exc()
        return tell(error)


def _nobody_reads() -> int:
    """Whoever read stdout has gone, as `head` does: that is no error. Nothing more is written there."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN_PIPE
