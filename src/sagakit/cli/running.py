"""`sagakit demo`, `run`, `check` and `bench`. What they run is imported only when they are asked for."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sagakit.cli.database import named
from sagakit.cli.failures import Failure, WrongUse
from sagakit.cli.options import (
    AppName,
    BenchDatabase,
    Database,
    DemoDatabase,
    DemoPort,
    Idempotency,
    LeaveUnclaimed,
    LogFormat,
    LogLevel,
    Port,
    ShopAddresses,
    ShopBroker,
    ShopService,
    Workers,
)
from sagakit.cli.terminal import counted, show, text

if TYPE_CHECKING:
    from sagakit.app import App
    from sagakit.cli.workers.child import Child
    from sagakit.engine.limits import Limits
    from sagakit.server.hosts import Hosts

DEMOS = ("shop", "hotel", "subscriptions")


def demo(
    name: Annotated[str, typer.Argument(metavar="DEMO", help=f"Which one: {', '.join(DEMOS)}.")] = "shop",
    port: DemoPort = None,
    db: DemoDatabase = "",
    fresh: Annotated[bool, typer.Option("--fresh", help="Start anew: forget what is there.")] = False,
    idempotency: Idempotency = "",
    service: ShopService = None,
    at: ShopAddresses = None,
    kafka: ShopBroker = "",
) -> None:
    """Run a small business: a shop, a hotel or subscriptions."""
    if name not in DEMOS:
        raise WrongUse(f"there is no demo {name}; the demos: {', '.join(DEMOS)}")
    if (service or at or kafka) and name != "shop":
        raise WrongUse(f"--service, --at and --kafka are for the shop: {name} is one process")
    if at and service is None:
        raise WrongUse("--at says where other parts are: give --service too")
    if kafka and (at or service is None):
        raise WrongUse("--kafka takes the place of --at: give --service too, and no --at")
    if service is not None:
        from sagakit.demos.shop.run_service import run_service

        run_service(service, port, db or None, fresh, at or (), idempotency or None, kafka or None)
    else:
        _demo(name)(8080 if port is None else port, db or None, fresh, idempotency or None)


def _demo(name: str) -> Callable[[int, str | None, bool, str | None], None]:
    """What runs a demo. Only the one that is asked for is imported."""
    match name:
        case "shop":
            from sagakit.demos.shop.run import run_demo
        case "hotel":
            from sagakit.demos.hotel.run import run_demo
        case _:
            from sagakit.demos.subscriptions.run import run_demo
    return run_demo


def run(
    app: AppName,
    db: Database = "",
    port: Port = 8080,
    leave_unclaimed: LeaveUnclaimed = False,
    idempotency: Idempotency = "",
    workers: Workers = 1,
    log_format: LogFormat = "console",
    log_level: LogLevel = "info",
) -> None:
    """Run an app: its engine and an HTTP door for commands.

    POST /api/v1/commands/NAME sends a command; /health/live and /health/ready say how the engine is.
    SIGTERM or Ctrl-C stops it in order; what is outstanding goes on at the next start. With --workers a supervisor
    keeps N processes running, all at one port; SIGHUP starts them anew one after another, on the code that is there.
    """
    from sagakit.cli.apps import load
    from sagakit.cli.workers.child import child_of
    from sagakit.engine.limits import Limits
    from sagakit.server.hosts import allowed
    from sagakit.server.serve import bind
    from sagakit.telemetry.logs import log_to_stderr

    child = child_of(os.environ)
    log_to_stderr(log_format, log_level, by=child.name if child else "")
    joined, url = load(app), named(db)
    limits, hosts = Limits(leave_unclaimed=leave_unclaimed), allowed(os.environ)
    if workers > 1:
        # what URLs may hold is not for the list of processes
        environment = {"SAGAKIT_DB": url, "SAGAKIT_IDEMPOTENCY": idempotency}
        words = ["run", app, *(["--leave-unclaimed"] if leave_unclaimed else [])]
        words += ["--log-format", log_format, "--log-level", log_level]
        with bind(port) as bound:
            asyncio.run(_supervise(joined, url, bound, workers, words, environment))
        return
    with bind(port if child is None else 0) as bound:
        asyncio.run(_serve(joined, url, bound, limits, idempotency, hosts, child))


async def _supervise(
    app: App, db: str, bound: socket.socket, workers: int, words: list[str], environment: dict[str, str]
) -> None:
    from sagakit.app.stores import open_store, place_of
    from sagakit.cli.workers.supervisor import Supervisor
    from sagakit.server.serve import address_of

    if open_store(db).cluster is None:
        raise Failure(f"{place_of(db)}: one engine owns it alone; several workers share a database on PostgreSQL")
    commands = counted(len(app.topology().commands), "command")
    show(text(f"{app.name}: {commands} at {address_of(bound)}/api/v1/commands/NAME, {workers} workers"))
    sys.stdout.flush()
    await Supervisor(workers, words, bound, environment).run()


async def _serve(
    app: App, db: str, bound: socket.socket, limits: Limits, idempotency: str, hosts: Hosts, child: Child | None = None
) -> None:
    from sagakit.app.running import signalled
    from sagakit.app.stores import place_of
    from sagakit.idempotency import opened
    from sagakit.server.api import api
    from sagakit.server.serve import address_of, serve
    from sagakit.telemetry import observing

    # signals are heard from before the start, so that it is never cut short, to after the stop
    with signalled() as told, observing(app.name) as telemetry:
        running = app.engine(db, limits=limits, observer=telemetry, worker=child.name if child else "")
        async with opened(idempotency) as fast, running as engine:
            if child is None:
                commands = counted(len(engine.topology.commands), "command")
                place = place_of(db)
                show(text(f"{app.name}: {commands} at {address_of(bound)}/api/v1/commands/NAME, kept in {place}"))
                sys.stdout.flush()
            else:
                child.stops_with_supervisor(told)
                child.tell_ready()
            shared = child.socket() if child else None
            await serve(engine, api(engine, fast=fast), bound, told, shared=shared, hosts=hosts)


def check(app: AppName) -> None:
    """Check an app: what it consists of, or all its problems."""
    from sagakit.cli.apps import load
    from sagakit.cli.contents import contents

    contents(load(app))


def bench(
    sagas: Annotated[int, typer.Option("--sagas", min=1, metavar="N", help="How many sagas.")] = 2000,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, metavar="N", help="So many in flight.")] = 100,
    history: Annotated[int, typer.Option("--history", min=0, metavar="N", help="Messages in the log before.")] = 0,
    batch: Annotated[
        int, typer.Option("--batch", min=0, metavar="N", help="Batches instead, of 1,000 to N items.")
    ] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the figures there.")] = None,
    db: BenchDatabase = "",
) -> None:
    """Measure sagas on this machine beside the bare database."""
    from sagakit.bench import run_batches, run_bench

    if batch:
        run_batches(batch, json_file=json_file, db=db or None)
    else:
        run_bench(sagas=sagas, concurrency=concurrency, history=history, json_file=json_file, db=db or None)
