"""Disturbances: one after another, drawn by chance."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.chaos.workers import Worker, any_of

LONGEST_STOP = 12.0
"""Longer than a lease lasts: some come back as zombies."""


@dataclass
class Disturbing:
    """What is disturbed, and what was done so far."""

    workers: Sequence[Worker]
    chance: random.Random
    others: Sequence[Callable[[], None]] = ()
    """What is done to servers, each a call that blocks until it is done."""
    pause: float = 2.0
    done: Counter[str] = field(default_factory=Counter[str])
    _waking: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    async def run(self, until: asyncio.Event) -> None:
        """Disturb until told to stop; then let everything go on."""
        while not await _within(until, self.chance.uniform(0.2, self.pause)):
            for worker in self.workers:
                worker.see_to()
            await self._one()
        for waking in self._waking:
            waking.cancel()
        for worker in self.workers:
            if worker.stopped:
                worker.signal(signal.SIGCONT)

    async def _one(self) -> None:
        draw = self.chance.random()
        worker = any_of(self.workers, self.chance, stopped=False)
        if self.others and draw < 0.25:
            call = self.chance.choice(self.others)
            self.done[call.__name__] += 1
            await asyncio.to_thread(call)
        elif worker is not None and draw < 0.7:
            self.done["SIGKILL"] += 1
            worker.signal(signal.SIGKILL)
        elif worker is not None:
            self.done["SIGSTOP"] += 1
            worker.signal(signal.SIGSTOP)
            waking = asyncio.create_task(_wake(worker, self.chance.uniform(0.1, LONGEST_STOP)))
            self._waking.add(waking)
            waking.add_done_callback(self._waking.discard)


async def _wake(worker: Worker, after: float) -> None:
    await asyncio.sleep(after)
    if worker.stopped:
        worker.signal(signal.SIGCONT)


async def _within(until: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(until.wait(), seconds)
    except TimeoutError:
        return False
    return True
