"""Engines that own the store one after another: killed, stopped, or taken over from while they still run."""

from __future__ import annotations

import asyncio

from sagakit.engine.engine import Engine
from sagakit.testing.simulation.engines.lives import Lives, Reign, either
from sagakit.testing.simulation.stage import Stage, Subject


class Reigns(Lives):
    """Whose turn it is."""

    def __init__(self, stage: Stage, subject: Subject) -> None:
        super().__init__(stage, subject)
        self._old: list[Reign] = []
        self.current: Reign | None = None

    async def rule(self) -> None:
        """One engine after another, as the profile says."""
        profile, chance = self._stage.profile, self._chance
        for _ in range(profile.reigns):
            reign = await self.begin()
            if reign is None:
                continue
            skews = asyncio.create_task(self._skew())
            await either(reign.over.wait(), self._stage.pause(chance.uniform(0.2, profile.longest)))
            skews.cancel()
            self._stage.wall.thaw()
            await self._end(reign)

    async def stay(self) -> list[Engine]:
        """The last one."""
        last = None
        while last is None:
            last = await self.begin()
        assert last.engine is not None
        return [last.engine]

    async def close(self) -> None:
        """It is stopped."""
        if self.current is not None:
            await self.stop(self.current)

    async def _end(self, reign: Reign) -> None:
        share, profile = self._chance.random(), self._stage.profile
        if reign.over.is_set():
            return
        if share < profile.zombies:
            self._stage.note(f"{reign.life} is taken over from")
            self._old.append(reign)
        elif share < profile.zombies + profile.orderly:
            self._stage.note(f"{reign.life} is stopped")
            await self.stop(reign)
        else:
            self.kill(reign)
        self.current = None

    def _came(self, reign: Reign) -> None:
        self.current = reign

    def _left(self, reign: Reign) -> None:
        if self.current is reign:
            self.current = None

    def _whom(self) -> Reign | None:
        if self._old and self.faulty and self._chance.random() < 0.1:
            return self._chance.choice(self._old)
        return self.current

    async def _skew(self) -> None:
        chance, wall = self._chance, self._stage.wall
        while True:
            await asyncio.sleep(chance.uniform(0.5, 10.0))
            if chance.random() >= self._stage.profile.skews:
                continue
            match chance.choice(("forward", "back", "freeze", "thaw")):
                case "forward":
                    wall.set(chance.randrange(60_000_000))
                case "back":
                    wall.set(-chance.randrange(60_000_000))
                case "freeze":
                    wall.freeze()
                case _:
                    wall.thaw()
            self._stage.note("the wall's clock is set")
