"""A person who looks after an app: pauses some of it, and mends what waits for a person."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import Any

from sagakit.core.commit import Delivery, Instance, PauseScope
from sagakit.engine.engine import Engine
from sagakit.engine.operating.operator import InstanceAction
from sagakit.errors import NotPossible, TerminalError, WaitTimeout
from sagakit.testing.simulation.stage import Clients, Stage

BY = "simulation"
ASKS = 3
HOPELESS = (b"poison-", b"broken-")
"""How the keys of what can never work begin."""


async def meddle(stage: Stage, clients: Clients, chance: Random) -> None:
    """Something stands still for a while, or is cancelled or tried again, while engines come and go."""
    await asyncio.sleep(chance.uniform(1.0, 25.0))
    rows = list(stage.data.instances.values())
    if not rows:
        return
    row = chance.choice(rows)
    if chance.random() < 0.5:
        await act(clients, row, chance.choice(("cancel", "compensate", "retry", "resume_compensation")))
        return
    scope: PauseScope = chance.choice(("all", "module", "process", "instance"))
    name = {"all": "", "module": row.type.rpartition(".")[0], "process": row.type, "instance": row.id}[scope]
    await _ask(clients, lambda engine: engine.operator.pause(scope, name, by=BY, reason="to see"))
    await asyncio.sleep(chance.uniform(0.5, 10.0))
    await _ask(clients, lambda engine: engine.operator.resume(scope, name, by=BY, reason="seen"))


async def resume_all(stage: Stage, clients: Clients) -> None:
    """At the end nothing stands still."""
    for scope, name in list(stage.data.pauses):
        await _ask(clients, lambda engine, s=scope, n=name: engine.operator.resume(s, n, by=BY, reason="it is late"))


async def mend_all(stage: Stage, clients: Clients) -> None:
    """Whatever waits for a person is tried again, now that the world is whole; a bug is given up."""
    for row in list(stage.data.instances.values()):
        if row.status == "compensation_failed":
            await act(clients, row, "resume_compensation")
        elif row.status == "parked":
            await act(clients, row, "abandon" if row.key in stage.excused else "retry")
    for delivery in list(stage.data.deliveries.values()):
        if delivery.state == "parked" and not _is_of_instance(stage, delivery):
            await _mend(stage, clients, delivery)


async def act(clients: Clients, row: Instance, action: InstanceAction) -> None:
    """An action on an instance; one that does not fit is refused in words."""
    await _ask(clients, lambda engine: engine.operator.act(row.id, action, by=BY, reason="the simulation wants it"))


async def _mend(stage: Stage, clients: Clients, delivery: Delivery) -> None:
    """What can never work is dropped, all else is tried again."""
    hopeless = any(b'"key":"' + key in delivery.envelope.payload for key in HOPELESS)
    action: Any = "drop" if hopeless else "retry"
    what = "it can never work" if hopeless else "the world is whole"
    await _ask(clients, lambda engine: engine.operator.act_on_delivery(delivery.id, action, by=BY, reason=what))


def _is_of_instance(stage: Stage, delivery: Delivery) -> bool:
    """Whether it is the input of an instance, or its undo: these are mended with their instance."""
    return delivery.lane.rpartition("/")[2] in stage.data.instances or delivery.envelope.undoes is not None


async def _ask(clients: Clients, what: Callable[[Engine], Awaitable[object]]) -> None:
    """Who gets no answer asks again, a few times."""
    for left in reversed(range(ASKS)):
        try:
            with suppress(NotPossible, TerminalError):
                await clients.ask(what)
        except WaitTimeout:  # the engine that should do it is gone, and nobody has taken over yet
            if not left:
                raise
        else:
            return
