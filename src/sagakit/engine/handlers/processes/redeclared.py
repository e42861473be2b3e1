"""What has parked because its version was not declared goes on by itself once it is declared again.

Nothing of it was done: the instance could not even be read. So a deployment mends it, also one that goes back to an
older version and forth again, and nobody has to say which instances it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from sagakit.core.commit import Delivery
from sagakit.engine.handlers.processes.instances import NOT_DECLARED
from sagakit.engine.handlers.reading import Reader
from sagakit.engine.topology import ProcessConsumer, Topology
from sagakit.errors import Stopping, StoreUnusable, TerminalError, WaitTimeout
from sagakit.ports import Store

BY = "sagakit"
"""Who retries it, in the log."""
AT_ONCE = 50
"""Retries at the same time: they share transactions."""

_log = structlog.get_logger("sagakit.recovery")


class Redeclared:
    """Told of each parked delivery that comes into memory; those whose code is back are retried."""

    def __init__(self, topology: Topology, store: Store, read: Reader, die: Callable[[BaseException], None]) -> None:
        self._topology = topology
        self._store = store
        self._read = read
        self._die = die
        self._found: dict[int, Delivery] = {}
        self._retry: Callable[..., Awaitable[Any]] | None = None
        """What an operator does to a delivery; None as long as nothing may be done."""
        self._task: asyncio.Task[None] | None = None

    def found(self, delivery: Delivery) -> None:
        """A parked delivery was read from the store."""
        if NOT_DECLARED in (delivery.error or "") and delivery.consumer in self._topology.consumers:
            self._found[delivery.id] = delivery
            self._begin()

    def start(self, retry: Callable[..., Awaitable[Any]]) -> None:
        """From now on, operators' actions are possible: of a delivery, with `by` and `reason`."""
        self._retry = retry
        self._begin()

    async def stop(self) -> None:
        """What is left goes on at the next start."""
        self._retry = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _begin(self) -> None:
        if self._retry is not None and self._found and self._task is None:
            self._task = asyncio.create_task(self._run(self._retry), name="sagakit redeclared")

    async def _run(self, retry: Callable[..., Awaitable[Any]]) -> None:
        retried = 0
        try:
            while self._found:
                some = [self._found.pop(id) for id in list(self._found)[:AT_ONCE]]
                retried += sum(await asyncio.gather(*(self._go_on(one, retry) for one in some)))
        except StoreUnusable as error:
            self._die(error)
        finally:
            self._task = None
        if retried:
            _log.info("instances go on whose version is declared again", retried=retried)

    async def _go_on(self, delivery: Delivery, retry: Callable[..., Awaitable[Any]]) -> bool:
        consumer = self._topology.consumers[delivery.consumer]
        row = await self._read(self._store.read_instance, delivery.lane.rpartition("/")[2])
        if row is None or not isinstance(consumer, ProcessConsumer) or row.definition not in consumer.definitions:
            return False
        reason = f"version {row.definition} of {consumer.name} is declared again"
        try:
            await self._read(retry, delivery.id, "retry", by=BY, reason=reason)
        except StoreUnusable:
            raise
        except Stopping:  # it goes on at the next start
            return False
        except (TerminalError, WaitTimeout) as refusal:  # somebody has retried, dropped or cancelled it meanwhile
            _log.info("an instance whose version is declared again was not retried", why=str(refusal))
            return False
        return True
