"""Looks for races: the body of every asynchronous test is slow against all that runs beside it.

    make test-long ARGS="-p tests.slowed --slowed 7"

After some of its awaits, drawn from this seed and the test's name, a body pauses. A test that fails under it relies on
being faster than what it tests, or has found a fault there. Continuous integration does not run it.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import random
from collections.abc import Coroutine, Generator
from typing import Any

import pytest

OFTEN = 0.4
"""The share of its awaits after which a body pauses."""
LONGEST = 0.3
"""Seconds; most pauses are much shorter."""
MOST = 150
"""Pauses of one test: those with hundreds of awaits have a time limit, too."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--slowed SEED`."""
    parser.addoption("--slowed", default="1", help="the seed of the pauses in tests")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Wrap what is asynchronous."""
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.obj = _slowed(item.obj, f"{config.getoption('--slowed')} {item.nodeid}")


def _slowed(test: Any, seed: str) -> Any:
    @functools.wraps(test)
    async def slowed(*args: Any, **kwargs: Any) -> Any:
        return await _Slowed(test(*args, **kwargs), random.Random(seed))

    return slowed


class _Slowed:
    """Awaits a coroutine, step by step."""

    def __init__(self, body: Coroutine[Any, Any, Any], chance: random.Random) -> None:
        self._body = body
        self._chance = chance
        self._left = MOST

    def __await__(self) -> Generator[Any, Any, Any]:
        error: BaseException | None = None
        while True:
            try:
                awaited = self._body.send(None) if error is None else self._body.throw(error)
            except StopIteration as end:
                return end.value
            error = None
            try:
                yield awaited
                if awaited is not None and self._pauses():
                    yield from asyncio.sleep(self._chance.random() ** 2 * LONGEST).__await__()
            except GeneratorExit:
                self._body.close()
                raise
            except BaseException as thrown:  # a cancellation is the body's
                error = thrown

    def _pauses(self) -> bool:
        if self._left == 0 or self._chance.random() >= OFTEN or not _time_passes():
            return False
        self._left -= 1
        return True


def _time_passes() -> bool:
    """Whether the loop's time is its own: a test may move it by hand."""
    return getattr(asyncio.get_running_loop().time, "__func__", None) is asyncio.BaseEventLoop.time
