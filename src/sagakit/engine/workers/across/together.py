"""Questions of one kind to the store: those that come while one is under way are asked together, after it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable


class Together:
    """Whether each of some ids is so: one question for all that are asked about meanwhile."""

    def __init__(self, ask: Callable[[Collection[str]], Awaitable[Collection[str]]]) -> None:
        self._ask = ask
        """Which of these are."""
        self._asked: dict[str, list[asyncio.Future[bool]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, id: str) -> bool:
        """Whether it is so, now or later than now."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._asked.setdefault(id, []).append(future)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="sagakit questions")
        return await future

    @property
    def busy(self) -> bool:
        """Whether something is being asked."""
        return self._task is not None

    async def stop(self) -> None:
        """Ask no more: whoever waits is cancelled."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            while self._asked:
                asked, self._asked = self._asked, {}
                waiting = [(id, future) for id, futures in asked.items() for future in futures]
                await self._answer(list(asked), waiting)
        finally:
            self._task = None
            _cancel(future for futures in self._asked.values() for future in futures)

    async def _answer(self, ids: list[str], waiting: list[tuple[str, asyncio.Future[bool]]]) -> None:
        try:
            found = await self._ask(ids)
        except Exception as error:
            for _, future in waiting:
                if not future.done():  # whoever has asked may have been cancelled
                    future.set_exception(error)
        except BaseException:
            _cancel(future for _, future in waiting)
            raise
        else:
            for id, future in waiting:
                if not future.done():
                    future.set_result(id in found)


def _cancel(futures: Iterable[asyncio.Future[bool]]) -> None:
    for future in futures:
        future.cancel()
