"""Several engines at once on one store: each place is taken by one after another, and the last one stays."""

from __future__ import annotations

import asyncio

from sagakit.engine.engine import Engine
from sagakit.engine.topology import Topology
from sagakit.errors import LeaseLost, StoreFailed, StoreUnusable
from sagakit.ports import Store
from sagakit.testing.simulation.drawn import DrawnStore
from sagakit.testing.simulation.engines.lives import Lives, Reign, either
from sagakit.testing.simulation.engines.shared import DrawnCluster, LateStore, LoopHeart
from sagakit.testing.simulation.stage import Stage, Subject

MOST = 3
"""Engines that take one place, one after another, while everything may fail."""


class Crew(Lives):
    """Who is there now."""

    def __init__(self, stage: Stage, subject: Subject) -> None:
        super().__init__(stage, subject)
        earlier = subject.earlier()
        self._earlier = earlier.topology(provide=list(subject.provide(stage))) if earlier is not None else None
        self._places: list[Reign | None] = [None] * stage.profile.crew
        self._watches: list[asyncio.Task[None]] = []

    # ------------------------------------------------------------------ coming and going

    async def rule(self) -> None:
        """In each place one engine after another; they know nothing of those in the other places."""
        places = [asyncio.create_task(self._take_turns(place)) for place in range(len(self._places))]
        for place in places:
            await place

    async def _take_turns(self, place: int) -> None:
        chance, profile = self._chance, self._stage.profile
        for left in reversed(range(chance.randint(1, MOST))):
            await self._stage.pause(chance.uniform(0.0, 4.0))
            reign = await self._begin(place, self._version(last=not left))
            length = self._stage.pause(chance.uniform(0.2, profile.longest))
            if reign is None:
                length.close()
                continue
            await either(reign.over.wait(), length)
            if left and not reign.over.is_set():
                await self._end(reign)

    def _version(self, *, last: bool) -> Topology:
        """Which code it runs: an earlier one may come again after a newer one, but is not the last."""
        if last or self._earlier is None or self._chance.random() < 0.5:
            return self._topology
        return self._earlier

    async def _begin(self, place: int, topology: Topology) -> Reign | None:
        reign = await self.begin(topology, f"place {place}" if self._chance.random() < 0.9 else "")
        if reign is not None:
            self._places[place] = reign
            self._watches.append(asyncio.create_task(self._watch(reign)))
        return reign

    async def _end(self, reign: Reign) -> None:
        share, profile = self._chance.random(), self._stage.profile
        if share < profile.zombies:
            await (self._freeze(reign) if self._chance.random() < 0.6 else self._cut_off(reign))
            share = self._chance.random()
        if reign.over.is_set():
            return
        if share < profile.zombies + profile.orderly:
            self._stage.note(f"{reign.life} is stopped")
            await self.stop(reign)
        else:
            self.kill(reign)

    async def _freeze(self, reign: Reign) -> None:
        """It stands still: its lease may expire, others go on with what it owned, and it knows nothing of that."""
        stage, chance = self._stage, self._chance
        stage.note(f"{reign.life} is frozen")
        stage.frozen.add(reign.life)
        stage.loop.freeze(reign.life)
        await stage.pause(chance.uniform(0.1, 2.0))
        reign.away.set()
        await stage.pause(chance.uniform(0.0, 2.5 * stage.profile.limits.lease))
        stage.note(f"{reign.life} goes on")
        if not reign.over.is_set():
            reign.away.clear()
        stage.loop.thaw(reign.life)
        await either(reign.over.wait(), stage.pause(chance.uniform(0.1, 5.0)))

    async def _cut_off(self, reign: Reign) -> None:
        """It cannot renew its lease, and works on: others may take over from it in the middle of everything."""
        stage, chance = self._stage, self._chance
        stage.note(f"{reign.life} is cut off")
        stage.frozen.add(reign.life)
        stage.cut_off.add(reign.life)
        await either(reign.over.wait(), stage.pause(chance.uniform(0.5, 2.5) * stage.profile.limits.lease))
        stage.cut_off.discard(reign.life)
        await either(reign.over.wait(), stage.pause(chance.uniform(0.1, 5.0)))

    async def _watch(self, reign: Reign) -> None:
        """A process whose engine cannot go on ends."""
        engine = reign.engine
        assert engine is not None
        await either(engine.stopped(), reign.over.wait())
        if reign.over.is_set() or engine.fatal is None:
            return
        self._stage.note(f"{reign.life} cannot go on: {engine.fatal}")
        if not isinstance(engine.fatal, LeaseLost) or (not self.faulty and reign.life not in self._stage.frozen):
            raise engine.fatal
        self._left(reign)
        ending = asyncio.get_running_loop().create_task(engine.stop(), context=reign.context)
        await either(asyncio.wait([ending]), reign.over.wait())
        if ending.done() and (error := ending.exception()) and not isinstance(error, StoreFailed | StoreUnusable):
            raise error
        reign.end()

    async def stay(self) -> list[Engine]:
        """Each place is taken, and the engine that has it stays."""
        for place in range(len(self._places)):
            while self._places[place] is None:
                await self._begin(place, self._topology)
        return [reign.engine for reign in self._places if reign is not None and reign.engine is not None]

    async def close(self) -> None:
        """They are stopped, one after another."""
        for watch in self._watches:
            if watch.done():
                watch.result()
        for reign in [one for one in self._places if one is not None]:
            await self.stop(reign)

    def _left(self, reign: Reign) -> None:
        self._places = [None if one is reign else one for one in self._places]

    def _whom(self) -> Reign | None:
        there = [one for one in self._places if one is not None and not one.away.is_set()]
        return self._chance.choice(there) if there else None

    # ------------------------------------------------------------------ what they stand on

    def _inside(self, reign: Reign) -> Store:
        return LateStore(self._stage, reign.life, self._late)

    def _open(self, reign: Reign, store: DrawnStore) -> DrawnStore:
        inside = store.inside.cluster
        assert inside is not None
        store.shared = DrawnCluster(inside, store, self._stage, reign.life, lambda: self.faulty)
        return store

    def _name(self, engine: Engine, reign: Reign, name: str) -> None:
        team = engine.team
        assert team is not None
        team.me.name, team.heart_class = name, LoopHeart

    async def _late(self) -> None:
        late = self._stage.profile.late
        if late:  # also when nothing fails any more: a long transaction is no fault
            await asyncio.sleep(self._latency.uniform(0.0, late if self.faulty else min(late, 0.1)))
