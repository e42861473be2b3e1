"""A desk that an engine serves in a thread, as `sagakit run` does: the commands of a test act through its door."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.cli.acting.desk import Ask, Desk, Opened, Piled, desk
from tests.cli.conftest import PATIENCE, until

from sagakit import Engine
from sagakit.server.api import api
from sagakit.server.serve import bind, serve


class Running:
    """The engine, for a test that is not async."""

    def __init__(self, path: Path) -> None:
        self.db = path
        self.desk = Desk()
        self.engine: Engine
        self._loop: asyncio.AbstractEventLoop
        self._told: asyncio.Event
        self._thread = Thread(target=lambda: asyncio.run(self._serve()))

    def start(self) -> None:
        self._thread.start()
        self.until(lambda: hasattr(self, "engine"))

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._told.set)
        self._thread.join()

    def open(self, key: str = "a") -> None:
        self._do(self.engine.publish(Opened(key)))

    def pile(self, count: int, key: str = "p") -> None:
        self._do(self.engine.publish(Piled(key, count)))

    def ask(self, key: str = "a") -> None:
        self._do(self.engine.send(Ask(key)))

    def status(self, key: str = "a") -> str:
        return self._do(self.engine.status("t.case", key))

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for what the engine brings about."""
        until(condition)

    def _do(self, steps: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(steps, self._loop).result(PATIENCE)

    async def _serve(self) -> None:
        self._loop, self._told = asyncio.get_running_loop(), asyncio.Event()
        with bind(0) as bound:
            async with desk().engine(str(self.db), provide={Desk: self.desk}) as engine:
                serving = asyncio.ensure_future(serve(engine, api(engine), bound, self._told))
                while (seen := await engine.store.read_owner()) is None or seen.url is None:
                    await asyncio.sleep(0.01)
                self.engine = engine
                await serving


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    one = Running(tmp_path / "desk.db")
    with capture_logs():  # the engine of a real one logs in a process of its own
        one.start()
        yield one
        one.stop()
