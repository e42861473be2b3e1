"""Simulating the wanderers: what their clients ask for, and what must hold of what they did."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from random import Random
from typing import Any

from sagakit import App, Message, NotFound
from sagakit.core.commit import ENDED
from sagakit.engine.engine import Engine
from sagakit.testing.simulation.clients import publish, send
from sagakit.testing.simulation.operator import meddle, mend_all, resume_all
from sagakit.testing.simulation.stage import Clients, Finding, Stage
from sagakit.testing.simulation.wanderers.app import wanderers
from sagakit.testing.simulation.wanderers.audit import audit_wanderers, shared_lanes
from sagakit.testing.simulation.wanderers.messages import (
    FewStepsBegun,
    GatheringBegun,
    HurryBegun,
    KeepingBegun,
    Pay,
    Put,
    Signal,
    StepsBegun,
    WalkBegun,
)
from sagakit.testing.simulation.wanderers.programs import ASKS, Bug, draw_program, encode_program, make
from sagakit.testing.simulation.wanderers.waiting import Told, told_wrong, wait_for_end, wait_for_outcome
from sagakit.testing.simulation.world import POISON, World

BREAKS = 10
"""A number at which a shelf breaks."""


class Wanderers:
    """The drawn processes as a subject."""

    name = "wanderers"

    def app(self) -> App:
        """The same app for all seeds."""
        return wanderers()

    def earlier(self) -> App | None:
        """It lacks a listener."""
        return wanderers(earlier=True)

    def provide(self, stage: Stage) -> Mapping[Any, object]:
        """The world."""
        return {World: stage.world}

    async def drive(self, stage: Stage, clients: Clients) -> None:
        """Start processes, send signals, cancel some, and ask for things directly."""
        chance = stage.chance("clients")
        asking = [self._start(stage, clients, number, chance) for number in range(stage.profile.instances)]
        asking += [self._signal(stage, clients, number, chance) for number in range(stage.profile.instances // 2)]
        asking += [self._cancel(stage, clients, chance) for _ in range(chance.randint(0, 4))]
        asking += [self._direct(stage, clients, number, chance) for number in range(chance.randint(0, 8))]
        if chance.random() < 0.5:
            asking += [meddle(stage, clients, chance) for _ in range(chance.randint(1, 4))]
        waiting = self._waiting(stage)
        told = Told()
        stage.outside[Told] = told
        for number in range(chance.randint(0, 4)):
            waiting.append(asyncio.create_task(wait_for_end(stage, clients, told, stage.chance(f"waiting {number}"))))
        tasks = [asyncio.create_task(one) for one in asking]
        for task in tasks:
            await task

    async def urge(self, stage: Stage, clients: Clients) -> bool:
        """Signals for the sagas that still wait for some; a person for those that wait for one."""
        stage.found += shared_lanes(stage.data)
        await resume_all(stage, clients)
        await mend_all(stage, clients)
        for row in list(stage.data.instances.values()):
            if row.type in ("wanderers.walking", "wanderers.hurrying") and row.status == "running":
                number = len(stage.ledger.keys)
                await publish(stage, clients, f"urge-{number}", Signal(row.key, number))
        waiting = self._waiting(stage)
        for one in [one for one in waiting if one.done()]:
            one.result()
        return not all(one.done() for one in waiting)

    def audit(self, stage: Stage) -> Iterator[Finding]:
        """What the ledger of the world says."""
        yield from audit_wanderers(stage)
        yield from told_wrong(stage)

    def _waiting(self, stage: Stage) -> list[asyncio.Task[None]]:
        """Those who wait while everything else goes on."""
        waiting: Any = stage.outside.setdefault("waiting", [])
        return waiting

    # ------------------------------------------------------------------ what clients do

    async def _start(self, stage: Stage, clients: Clients, number: int, chance: Random) -> None:
        begun = _begun(stage, number, chance)
        key = begun.key
        await asyncio.sleep(chance.uniform(0.0, 20.0))
        for _ in range(chance.choice((1, 1, 1, 2))):  # some clients ask once more
            await publish(stage, clients, f"start-{key}", begun)
            await asyncio.sleep(chance.uniform(0.0, 10.0))
        if chance.random() < 0.2:  # a second start for the same key, that is another request
            await publish(stage, clients, f"restart-{key}", begun)

    async def _signal(self, stage: Stage, clients: Clients, number: int, chance: Random) -> None:
        await asyncio.sleep(chance.uniform(0.0, 30.0))
        key = _walker(chance.randrange(stage.profile.instances))
        await publish(stage, clients, f"signal-{number}", Signal(key, number))

    async def _cancel(self, stage: Stage, clients: Clients, chance: Random) -> None:
        await asyncio.sleep(chance.uniform(0.0, 30.0))
        row = _some(list(stage.data.instances.values()), chance)
        if row is None:
            return

        async def cancel(engine: Engine) -> None:
            with suppress(NotFound):  # not committed yet, for this engine
                await engine.cancel(row.type, row.key, reason="a client has changed its mind")

        await clients.ask(cancel)

    async def _direct(self, stage: Stage, clients: Clients, number: int, chance: Random) -> None:
        key, command = _direct_command(number, chance)
        await asyncio.sleep(chance.uniform(0.0, 30.0))
        for _ in range(chance.choice((1, 1, 2))):
            await send(stage, clients, f"direct-{key}", command)
        receipt = stage.ledger.receipts[f"direct-{key}"]
        self._waiting(stage).append(asyncio.create_task(wait_for_outcome(stage, clients, receipt)))


def _begun(stage: Stage, number: int, chance: Random) -> Any:
    plan = "".join(chance.choice(ASKS)[:3] for _ in range(chance.randint(1, 5)))
    match chance.choice(("walk", "walk", "walk", "steps", "few", "keeping", "gathering")):
        case "walk":
            program = draw_program(chance, bugs=chance.random() < 0.03)
            if any(isinstance(part, Bug) for part in program.parts):
                stage.excused.add(_walker(number))
            kind = HurryBegun if chance.random() < 0.3 else WalkBegun
            return kind(_walker(number), encode_program(program))
        case "steps":
            return StepsBegun(f"steps-{number}")
        case "few":
            return FewStepsBegun(f"steps-{number}")
        case "keeping":
            return KeepingBegun(f"manager-{number}", plan)
        case _:
            return GatheringBegun(f"manager-{number}", plan)


def _direct_command(number: int, chance: Random) -> tuple[str, Message]:
    """What never works holds its own lane, and must hold no other."""
    share = chance.random()
    if share < 0.1:
        return f"broken-{number}", Put(f"broken-{number}", BREAKS, f"shelf of broken-{number}")
    if share < 0.3:
        return f"{POISON}-{number}", Pay(f"{POISON}-{number}", 1, f"till of {POISON}-{number}")
    key = f"direct-{number}"
    command = make(chance.choice(ASKS), key, chance.randint(1, 5))[0]
    if isinstance(command, Pay | Put):  # what is parked must not hold the lanes of processes
        command = Pay(key, command.n, f"till of {key}")
    return key, command


def _walker(number: int) -> str:
    return f"walker-{number}"


def _some(rows: list[Any], chance: Random) -> Any:
    live = [row for row in rows if row.status not in ENDED]
    return chance.choice(live) if live else None
