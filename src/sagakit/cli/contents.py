"""What an app consists of, as `sagakit check` shows it."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text

from sagakit.app import App
from sagakit.cli.terminal import counted, show, table, text
from sagakit.core.lifecycle import LIFECYCLE
from sagakit.core.saga.code_saga import CodeSaga
from sagakit.core.saga.step_saga import StepSaga
from sagakit.engine.topology import ProcessConsumer, Topology


def contents(app: App) -> None:
    """Show the modules of an app with their commands, events and processes, and its warnings."""
    topology = app.topology()
    commands = _names(topology, topology.commands)
    events = sorted(set(_names(topology, topology.codecs.by_class)) - set(commands))
    processes = list({id(one): one for one in topology.processes.values()}.values())
    named = [module.name for module in app.modules]
    amounts = (
        counted(len(commands), "command"),
        counted(len(events), "event"),
        counted(len(processes), "process", "processes"),
    )
    rows = table("MODULE", "HANDLES", "EVENTS", "RUNS")
    for module in named:
        mine = (_of(module, commands, named), _of(module, events, named), _runs(module, processes, named))
        if any(mine):
            rows.add_row(text(module, "bold"), *(text(cell) for cell in mine))
    headline = Text.assemble(text(app.name, "bold"), " can run: ", ", ".join(amounts))
    warnings = [Text.assemble(("warning: ", "yellow"), text(warning)) for warning in app.warnings]
    show(headline, "", rows, *(["", *warnings] if warnings else []))


def _names(topology: Topology, classes: Iterable[type]) -> list[str]:
    """The wire names of the app's own messages."""
    return sorted(topology.codecs.by_class[cls].name for cls in classes if cls not in LIFECYCLE)


def _of(module: str, names: Iterable[str], modules: list[str]) -> str:
    """The names that belong to a module, without it."""
    return ", ".join(_inside(module, name) for name in names if _home(name, modules) == module)


def _runs(module: str, processes: Iterable[ProcessConsumer], modules: list[str]) -> str:
    return ", ".join(
        f"{_inside(module, one.name)} ({_way(one)})" for one in processes if _home(one.name, modules) == module
    )


def _home(name: str, modules: list[str]) -> str:
    """The module that a name belongs to; one pinned to no module's belongs to the app (the first)."""
    homes = [module for module in modules if name.startswith(f"{module}.")]
    return max(homes, key=len, default=modules[0])


def _inside(module: str, name: str) -> str:
    return name.removeprefix(f"{module}.")


def _way(process: ProcessConsumer) -> str:
    if isinstance(process.declared, CodeSaga):
        return "code saga"
    return "step saga" if isinstance(process.declared, StepSaga) else "process manager"
