"""How a demo runs: its address, its database and its terminal, until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from sagakit import App, Engine
from sagakit.app.running import signalled
from sagakit.demos.files import file_of, forget, kept_where
from sagakit.demos.terminal import Terminal
from sagakit.idempotency import FastPath, opened
from sagakit.server.hosts import Hosts, allowed
from sagakit.server.serve import address_of, bind, serve
from sagakit.telemetry import observing

if TYPE_CHECKING:
    from litestar.types import ASGIApp

_log = structlog.get_logger("sagakit.demos")

ENDED = "Closed; what is unsettled goes on when it is opened again."


@dataclass(frozen=True)
class Demo:
    """A demo that is open."""

    engine: Engine
    terminal: Terminal
    address: str
    path: Path | None
    """The file of its database; None: it is in memory."""
    fast: FastPath | None
    """What answers repeats of idempotency keys, besides the engine."""
    _bound: socket.socket
    _told: asyncio.Event
    _hosts: Hosts

    @property
    def kept(self) -> str:
        """Where its data are, in words."""
        return kept_where(self.engine.store, self.path) or "in memory: gone when the demo ends"

    async def serve(self, app: ASGIApp, scenario: Coroutine[Any, Any, None] | None = None) -> None:
        """Answer requests until it is told to stop; play a scenario meanwhile."""
        playing = None if scenario is None else asyncio.ensure_future(_played(scenario))
        try:
            await serve(self.engine, app, self._bound, self._told, hosts=self._hosts)
        finally:
            if playing is not None:
                playing.cancel()
                await asyncio.gather(playing, return_exceptions=True)


async def _played(scenario: Coroutine[Any, Any, None]) -> None:
    try:
        await scenario
    except Exception:  # it is told, and the demo goes on without it
        _log.exception("the scenario came to no end")


@asynccontextmanager
async def demo(
    app: App,
    *,
    port: int,
    db: str | None,
    fresh: bool,
    idempotency: str | None = None,
    provide: Callable[[Terminal, Path | None], Mapping[Any, object]] = lambda terminal, path: {},
    others: Callable[[Path], tuple[Path, ...]] = lambda path: (),
) -> AsyncGenerator[Demo]:
    """Open a demo. `others`: the files beside its database that --fresh removes too."""
    hosts = allowed(os.environ)
    async with AsyncExitStack() as stack:
        fast = await stack.enter_async_context(opened(idempotency))  # what is wrong with its URL is said first
        bound, told = stack.enter_context(bind(port)), stack.enter_context(signalled())
        telemetry = stack.enter_context(observing(app.name))
        path = file_of(app.name, db)
        if fresh and path:
            forget(path, *others(path))
        terminal = Terminal()
        stack.callback(terminal.close)
        given = provide(terminal, path)
        async with app.engine(db or str(path), provide=given, observer=telemetry) as engine:
            yield Demo(engine, terminal, address_of(bound), path, fast, bound, told, hosts)
        terminal.print(ENDED if kept_where(engine.store, path) else "Closed.")
