"""Options of the commands that change something."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

Reason: TypeAlias = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why: it is recorded.")]
By: TypeAlias = Annotated[str, typer.Option("--by", metavar="NAME", help="Who: it is recorded. Default: you.")]
Delivery: TypeAlias = Annotated[int, typer.Argument(metavar="N", help="The delivery, as deliveries list has it.")]
Payload: TypeAlias = Annotated[str, typer.Option("--payload", metavar="JSON", help="All fields of the message.")]
Scope: TypeAlias = Annotated[str, typer.Argument(metavar="SCOPE", help="all, module, process or instance.")]
Name: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="Which module, process type or instance (id).")]
