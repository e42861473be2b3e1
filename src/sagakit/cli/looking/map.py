"""`sagakit map`: which module handles, sends, publishes and takes what."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from itertools import groupby
from typing import Annotated

import typer
from rich.text import Text

from sagakit.app.map import AppMap, ModuleMap, Orphan, map_of
from sagakit.cli.apps import load
from sagakit.cli.failures import WrongUse
from sagakit.cli.options import AppName, AsJson
from sagakit.cli.terminal import show, show_json, table, text

Arrow = tuple[str, str, str, str]
"""From, to, how it is drawn, and the message."""


def show_map(
    app: AppName,
    as_json: AsJson = False,
    as_mermaid: Annotated[bool, typer.Option("--mermaid", help="Write a Mermaid flowchart.")] = False,
) -> None:
    """Map an app: who sends what to whom, what leads nowhere."""
    if as_json and as_mermaid:
        raise WrongUse("--json and --mermaid: choose one")
    found = map_of(load(app))
    if as_json:
        show_json(found)
    elif as_mermaid:
        sys.stdout.write("\n".join(mermaid(found)) + "\n")
    else:
        _tables(found)


# ---------------------------------------------------------------------- for people


def _tables(found: AppMap) -> None:
    rows = table("MODULE", "", "MESSAGE", "BY", "")
    for module in found.modules:
        name = module.name
        for does, message, by, more in _lines(module):
            rows.add_row(text(name, "bold"), text(does, "dim"), text(message), text(by), text(more, "dim"))
            name = ""
    show(rows, "", *_orphans(found))


def _lines(module: ModuleMap) -> Iterator[tuple[str, str, str, str]]:
    for handled in module.handles:
        yield "handles", handled.command, handled.by, f"leads to {', '.join(handled.outcomes) or 'no event'}"
    for sent in module.sends:
        yield "sends", sent.command, sent.by, f"to {sent.to}" if sent.to else "to nobody"
    for published in module.publishes:
        yield "publishes", published.event, published.by, ""
    for taken in module.takes:
        yield "takes", taken.event, taken.by, f"of {', '.join(taken.of)}" if taken.of else "from outside"


def _orphans(found: AppMap) -> Iterator[Text]:
    for what, orphans in (("event", found.unheard_events), ("refusal", found.untreated_refusals)):
        for orphan in orphans:
            yield Text.assemble((f"{what}: ", "yellow"), text(_told(orphan)))
    for process in found.unseen:
        yield text(f"{process} may send more than its source shows", "dim")
    if not found.unheard_events and not found.untreated_refusals:
        yield text("nothing leads nowhere", "dim")


def _told(orphan: Orphan) -> str:
    return f"{orphan.message} of {', '.join(orphan.of)}: {orphan.why}"


# ---------------------------------------------------------------------- as a diagram


def mermaid(found: AppMap) -> Iterator[str]:
    """A flowchart: a box a module, commands as solid arrows, events as dotted ones, what leads nowhere in red."""
    yield "flowchart LR"
    arrows = sorted(_arrows(found))
    homes = {part: module.name for module in found.modules for part in _parts_of(module)}
    for module in found.modules:
        yield f'  subgraph {_id("module " + module.name)}["{module.name}"]'
        for part in sorted(part for part, home in homes.items() if home == module.name):
            yield f'    {_id(part)}["{part.removeprefix(module.name + ".")}"]'
        yield "  end"
    for (source, target, drawn), several in groupby(arrows, key=lambda one: one[:3]):
        yield f'  {_id(source)} {drawn}|"{"<br/>".join(_short(one[3], homes) for one in several)}"| {_id(target)}'
    orphans = [*found.unheard_events, *found.untreated_refusals]
    for orphan in orphans:
        node = _id(f"orphan {orphan.message}")
        yield f'  {node}["{orphan.message}"]:::orphan'
        yield from (f"  {_id(part)} -.-> {node}" for part in orphan.of)
    if orphans:
        yield "  classDef orphan stroke:#c00,color:#c00,stroke-dasharray:4"


def _parts_of(module: ModuleMap) -> Iterator[str]:
    for one in (*module.handles, *module.sends, *module.publishes, *module.takes):
        yield one.by


def _arrows(found: AppMap) -> Iterator[Arrow]:
    for module in found.modules:
        yield from ((sent.by, sent.to, "-->", sent.command) for sent in module.sends if sent.to is not None)
        yield from ((part, taken.by, "-.->", taken.event) for taken in module.takes for part in taken.of)


def _short(message: str, homes: dict[str, str]) -> str:
    """A message without its module, where that is one of the map."""
    home = max((name for name in set(homes.values()) if message.startswith(f"{name}.")), key=len, default="")
    return message.removeprefix(f"{home}.")


def _id(name: str) -> str:
    """A name that Mermaid takes for a node."""
    return re.sub(r"\W", "_", name)
