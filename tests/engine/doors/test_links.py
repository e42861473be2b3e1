"""Links run beside the engine, bring messages to its doors, and are run again where they fail."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.each_store import ON_EACH_STORE, new_store
from tests.engine.stage import Ask, Stage, Told, asking_app, until

from sagakit import Doors, Module, TerminalError
from sagakit.testing.manual import engine

pytestmark = ON_EACH_STORE


class Line:
    """A link that a test plays."""

    def __init__(self, name: str = "line") -> None:
        self.name = name
        self.doors: Doors | None = None
        self.runs = 0
        self.ended = 0
        self.error: Exception | None = None
        self.hindrance: str | None = None

    async def run(self, doors: Doors) -> None:
        self.runs += 1
        self.doors = doors
        try:
            if self.error is not None:
                raise self.error
            await asyncio.get_running_loop().create_future()
        finally:
            self.ended += 1

    def ready(self) -> str | None:
        return self.hindrance


class Unusable(TerminalError):
    pass


class Checked(Line):
    """One that nothing would mend."""

    def check(self) -> None:
        raise Unusable("no such line")


def linked(*lines: Line) -> Any:
    app = asking_app()
    for line in lines:
        app.link(line)
    return app


async def test_one_that_nothing_would_mend_keeps_the_engine_from_starting() -> None:
    line, checked, store = Line(), Checked("checked"), new_store()
    with pytest.raises(Unusable, match="no such line"):
        async with engine(linked(line, checked), store=store, provide={Stage: Stage()}):
            raise AssertionError("it has started")
    assert (line.runs, checked.runs) == (0, 0)
    async with engine(linked(line), store=store, provide={Stage: Stage()}):  # nobody holds the store
        await until(lambda: line.doors)


async def test_a_link_runs_as_long_as_the_engine_and_brings_messages_in() -> None:
    line, stage = Line(), Stage()
    async with engine(linked(line), provide={Stage: stage}) as running:
        await until(lambda: line.doors)
        assert line.doors is not None
        await line.doors.send(line.doors.decode("t.Ask", b'{"key":"b"}'))
        await running.settle()
        assert stage.began == [Ask("b")]
        assert line.ended == 0
    assert (line.runs, line.ended) == (1, 1)


async def test_readiness_names_a_link_that_is_not_ready_and_nothing_is_refused() -> None:
    line, other, stage = Line(), Line("other"), Stage()
    async with engine(linked(line, other), provide={Stage: stage}) as running:
        await until(lambda: line.doors)
        assert running.ready() is None
        line.hindrance = "the broker is away"
        assert running.ready() == "line: the broker is away"
        assert await running.send_and_wait(Ask(), until=Told) == Told()


async def test_a_link_that_fails_is_run_again_after_a_while() -> None:
    line = Line()
    line.error = RuntimeError("no route")
    async with engine(linked(line), provide={Stage: Stage()}) as running:
        await until(lambda: line.ended)
        await asyncio.sleep(0)
        assert running.ready() == "line: RuntimeError: no route"
        await running.advance(seconds=0.6)
        await until(lambda: line.runs == 2)
        await running.advance(seconds=0.6)
        assert line.runs == 2  # it waits longer each time
        line.error = None
        await running.advance(seconds=0.6)
        await until(lambda: line.runs == 3)
        assert running.ready() is None


async def test_the_links_of_all_modules_run() -> None:
    line, module = Line(), Module("side")
    module.link(line)
    app = asking_app()
    app.modules = (*app.modules, module)
    async with engine(app, provide={Stage: Stage()}):
        await until(lambda: line.doors)


class Reader(Line):
    """A link that knows what waits where it reads."""

    def __init__(self, name: str, behind: dict[tuple[str, str], int]) -> None:
        super().__init__(name)
        self._behind = behind

    def behind(self) -> dict[tuple[str, str], int]:
        return self._behind


async def test_the_engine_tells_what_waits_where_links_read() -> None:
    one, other = Reader("one", {("a", "g"): 2, ("b", "g"): 0}), Reader("other", {("a", "g"): 3, ("a", "h"): 1})
    async with engine(linked(one, other, Line("plain")), provide={Stage: Stage()}) as running:
        assert (await running.standing()).behind == {("a", "g"): 5, ("a", "h"): 1, ("b", "g"): 0}
