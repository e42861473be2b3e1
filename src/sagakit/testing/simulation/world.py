"""The world outside: what handlers do to it, by idempotency key. It survives every engine, and keeps a ledger."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Literal, TypeAlias

from sagakit.engine.handlers.context import Context
from sagakit.errors import TerminalError
from sagakit.testing.simulation.loop import LIFE

End: TypeAlias = Literal["done", "refused", "nothing", "fails", "broken", "cancelled", "runs"]


POISON = "poison"
"""What bears a key that begins so, never works."""


class Broken(TerminalError):
    """No further attempt can help."""


@dataclass
class Run:
    """One run of a handler."""

    number: int
    action: str
    business: str
    """What it is about, in the business's words: the same at every attempt."""
    id: str
    """The idempotency key."""
    undoes: str | None
    attempt: int
    lane: str | None
    life: int
    began: int
    """By the clock of its engine, as `ended`."""
    ended: int = 0
    end: End = "runs"
    effect: bool = False
    """It was this run that had the effect."""
    over: int = 0
    """How many runs had begun when it ended."""
    at: int = 0
    """When it began, by the time of the simulation."""
    told: int | None = None
    """When it was told to end, and did not: others need not wait for it for ever."""


@dataclass(frozen=True)
class Manners:
    """How the world answers: shares of all calls."""

    refuses: float = 0.08
    nothing: float = 0.02
    fails: float = 0.08
    loses: float = 0.06
    """The effect, and then a technical error."""
    breaks: float = 0.03
    """A terminal error, before or after the effect."""
    slow: float = 0.1
    stubborn: float = 0.3
    """Of those that are slow: they do not let themselves be cancelled."""
    undo_fails: float = 0.15
    undo_breaks: float = 0.0


@dataclass
class World:
    """What holds of the outside, and all that was ever asked of it."""

    seed: int
    manners: Manners
    clock: Callable[[], int]
    note: Callable[[str], None]
    now: Callable[[], int]
    """The time of the simulation."""
    healed: bool = False
    """From now on nothing fails any more for technical reasons."""
    runs: list[Run] = field(default_factory=list[Run])
    effects: dict[str, Run] = field(default_factory=dict[str, Run])
    """By idempotency key, in the order in which they happened."""
    undone: dict[str, str] = field(default_factory=dict[str, str])
    """The ids of commands that were undone (or will not be done any more), with the undo's own id."""
    counts: Counter[str] = field(default_factory=Counter[str])

    async def do(
        self, action: str, business: str, context: Context, lane: str | None = None
    ) -> Literal["done", "refused", "nothing"]:
        """One call of an `async` handler: what the world answers."""
        run, chance = self._begin(action, business, context, lane)
        end: End = "cancelled"
        try:
            slow = not self.healed and chance.random() < self.manners.slow
            if slow or chance.random() < 0.5:
                await self._take_time(
                    run, chance.uniform(1.0, 12.0) if slow else chance.uniform(0.0, 0.2), chance, slow
                )
            end = self._settle(run, chance)
            if chance.random() < 0.5:
                await self._take_time(run, chance.uniform(0.0, 0.3), chance, slow)
        finally:
            self._end(run, end)
        return self._answer(run, end)

    def do_at_once(self, action: str, business: str, context: Context) -> Literal["done", "refused", "nothing"]:
        """One call of a handler in a thread."""
        run, chance = self._begin(action, business, context, None)
        end = self._settle(run, chance)
        self._end(run, end)
        return self._answer(run, end)

    def _begin(self, action: str, business: str, context: Context, lane: str | None) -> tuple[Run, Random]:
        id = context.idempotency_key
        run = Run(len(self.runs), action, business, id, context.undoes, context.attempt, lane, LIFE.get(), self.clock())
        run.at = self.now()
        self.runs.append(run)
        self.counts[id] += 1
        self.note(f"{action} {business} {id} begins")
        return run, Random(f"{self.seed} {action} {business} {self.counts[id]}")  # noqa: S311  (drawn from the seed)

    def _end(self, run: Run, end: End) -> None:
        run.end, run.ended, run.over = end, self.clock(), len(self.runs)
        self.note(f"{run.action} {run.business} {run.id} {end}")

    def _settle(self, run: Run, chance: Random) -> End:
        """What comes of a call: the effect, if it has one, happens now."""
        end, effect = (self._of_undo if run.undoes else self._of_do)(run, chance)
        if run.id in self.effects:  # the world knows the key: it says again what it has said
            return end if end in ("fails", "broken") else "done"
        if effect and run.undoes is None and run.id in self.undone:
            return "refused"  # its undo came first, and is remembered
        if effect:
            run.effect = True
            self.effects[run.id] = run
            if run.undoes:
                self.undone[run.undoes] = run.id
        return end

    def _of_do(self, run: Run, chance: Random) -> tuple[End, bool]:
        if run.business.startswith(POISON):
            return "broken", False
        # a business that refuses always does; what is only technical is drawn for each run
        business, manners = Random(f"{self.seed} {run.action} {run.business}").random(), self.manners  # noqa: S311
        if business < manners.refuses:
            return "refused", False
        if business < manners.refuses + manners.nothing:
            return "nothing", False
        share = 1.0 if self.healed else chance.random()
        ends: tuple[tuple[End, bool, float], ...] = (
            ("fails", False, manners.fails),
            ("fails", True, manners.loses),
            ("broken", False, manners.breaks / 2),
            ("broken", True, manners.breaks / 2),
        )
        for end, effect, part in ends:
            if share < part:
                return end, effect
            share -= part
        return "done", True

    def _of_undo(self, run: Run, chance: Random) -> tuple[End, bool]:
        share = 1.0 if self.healed else chance.random()
        if share < self.manners.undo_breaks:
            return "broken", False
        if share < self.manners.undo_breaks + self.manners.undo_fails:
            return "fails", chance.random() < 0.5
        # a process manager is not told of an undo that led to nothing: it would wait for ever, and rightly so
        nothing = not run.business.startswith("manager") and chance.random() < 0.05
        return ("nothing" if nothing else "done"), True

    def _answer(self, run: Run, end: End) -> Literal["done", "refused", "nothing"]:
        if end == "fails":
            raise ConnectionError(f"{run.action} could not be reached")
        if end == "broken":
            raise Broken(f"{run.action} is broken")
        assert end in ("done", "refused", "nothing")
        return end

    async def _take_time(self, run: Run, seconds: float, chance: Random, slow: bool) -> None:
        loop = asyncio.get_running_loop()
        until, stubborn = loop.time() + seconds, slow and chance.random() < self.manners.stubborn
        while (left := until - loop.time()) > 0:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                if not stubborn:
                    raise
                run.told = run.told if run.told is not None else self.now()
