"""An engine for callers that are not async: it runs in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from datetime import datetime
from threading import Thread
from typing import Any, TypeVar, overload

from sagakit.core.decider import Decider, Loaded
from sagakit.core.messages import Message, Seconds
from sagakit.engine.engine import Engine
from sagakit.engine.inbox import Receipt
from sagakit.engine.watching.updates import Update
from sagakit.errors import Stopping

_A = TypeVar("_A", bound=Decider)
_T = TypeVar("_T")
_E = TypeVar("_E", bound=Message)
_E1 = TypeVar("_E1", bound=Message)
_E2 = TypeVar("_E2", bound=Message)


class BlockingEngine:
    """What `Engine` does, for synchronous callers; safe to use from several threads."""

    def __init__(self, engine: Engine, loop: asyncio.AbstractEventLoop) -> None:
        self._engine = engine
        self._loop = loop

    def send(
        self,
        command: Message,
        *,
        idempotency_key: str | None = None,
        expected_version: int | None = None,
        after: Seconds | None = None,
        at: datetime | None = None,
    ) -> Receipt:
        """Accept a command, to be handled at once or later: durable when this returns. As `Engine.send`."""
        return self._wait(
            self._engine.send(
                command, idempotency_key=idempotency_key, expected_version=expected_version, after=after, at=at
            )
        )

    def publish(self, event: Message, *, idempotency_key: str | None = None) -> Receipt:
        """Record an event for whoever takes it: durable when this returns."""
        return self._wait(self._engine.publish(event, idempotency_key=idempotency_key))

    @overload
    def send_and_wait(
        self, command: Message, *, until: type[_E], timeout: Seconds = ..., idempotency_key: str | None = ...
    ) -> _E: ...
    @overload
    def send_and_wait(
        self,
        command: Message,
        *,
        until: tuple[type[_E1], type[_E2]],
        timeout: Seconds = ...,
        idempotency_key: str | None = ...,
    ) -> _E1 | _E2: ...
    def send_and_wait(
        self, command: Message, *, until: Any, timeout: Seconds = 30.0, idempotency_key: str | None = None
    ) -> Any:
        """Send a command and wait for an event of its story. As `Engine.send_and_wait`."""
        return self._wait(
            self._engine.send_and_wait(command, until=until, timeout=timeout, idempotency_key=idempotency_key)
        )

    @overload
    def wait(self, *, until: type[_E], correlation_id: str, timeout: Seconds = ...) -> _E: ...
    @overload
    def wait(self, *, until: tuple[type[_E1], type[_E2]], correlation_id: str, timeout: Seconds = ...) -> _E1 | _E2: ...
    @overload
    def wait(self, process: Any, key: object, *, timeout: Seconds = ..., begun: bool = ...) -> Update: ...
    def wait(self, *args: Any, **named: Any) -> Any:
        """Wait for an event of a story, or for the end of an instance. As `Engine.wait`."""
        steps: Coroutine[Any, Any, Any] = self._engine.wait(*args, **named)
        return self._wait(steps)

    @overload
    def watch(self, process: Any, key: object, *, after: str | None = ...) -> Generator[Update]: ...
    @overload
    def watch(self, *, correlation_id: str, after: str | None = ...) -> Generator[Update]: ...
    def watch(self, *args: Any, **named: Any) -> Generator[Update]:
        """Where an instance or a story stands, then every update, up to the end. As `Engine.watch`."""
        updates = self._engine.watch(*args, **named)
        try:
            while (update := self._wait(_next(updates))) is not None:
                yield update
        finally:
            with suppress(Stopping, RuntimeError):  # it was closed with the engine, or is by an interrupt
                self._wait(updates.aclose())

    def load(self, aggregate: type[_A], key: object) -> Loaded[_A]:
        """An aggregate's state and version as committed. Raises NotFound if it has no event."""
        return self._wait(self._engine.load(aggregate, key))

    def _wait(self, steps: Coroutine[Any, Any, _T]) -> _T:
        try:
            answer = asyncio.run_coroutine_threadsafe(steps, self._loop)
        except RuntimeError as closed:
            steps.close()
            raise Stopping("the engine has been stopped") from closed
        try:
            return answer.result()
        except BaseException:
            answer.cancel()  # whoever waited was interrupted: nobody wants the answer any more
            raise


async def _next(updates: AsyncGenerator[Update]) -> Update | None:
    return await anext(updates, None)


@contextmanager
def in_a_thread(open_engine: Callable[[], AbstractAsyncContextManager[Engine]]) -> Generator[BlockingEngine]:
    """An engine that runs in a thread until the caller is done with it."""
    started: Future[tuple[Engine, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
    ended: Future[None] = Future()
    thread = Thread(target=_run, args=(open_engine, started, ended), name="sagakit engine", daemon=True)
    thread.start()
    try:
        engine, loop, done = started.result()
        try:
            yield BlockingEngine(engine, loop)
        finally:
            loop.call_soon_threadsafe(done.set)
            ended.result()
    finally:
        thread.join()


def _run(
    open_engine: Callable[[], AbstractAsyncContextManager[Engine]],
    started: Future[tuple[Engine, asyncio.AbstractEventLoop, asyncio.Event]],
    ended: Future[None],
) -> None:
    async def serve() -> None:
        done = asyncio.Event()
        async with open_engine() as engine:
            started.set_result((engine, asyncio.get_running_loop(), done))
            await done.wait()

    try:
        asyncio.run(serve())
    except BaseException as error:  # told to the thread that waits
        (ended if started.done() else started).set_exception(error)
    else:
        ended.set_result(None)
