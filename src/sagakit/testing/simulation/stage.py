"""Everything of one run that is drawn from its seed, and the trace that tells two runs apart."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from random import Random
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

from sagakit.app import App
from sagakit.core.commit import Commit
from sagakit.engine.engine import Engine
from sagakit.engine.inbox import Receipt
from sagakit.engine.limits import Limits
from sagakit.stores.memory import MemoryData
from sagakit.testing.faults import Fault
from sagakit.testing.simulation.drawn import Wall
from sagakit.testing.simulation.loop import LIFE, SeededLoop
from sagakit.testing.simulation.ordering import Ordering
from sagakit.testing.simulation.world import Manners, World

T = TypeVar("T")

Kind: TypeAlias = Literal["lost", "doubled", "unsettled", "wrong"]


@dataclass(frozen=True)
class Finding:
    """A promise that was not kept."""

    kind: Kind
    promise: int
    """Its number in the list of what is promised."""
    what: str


@dataclass(frozen=True)
class Profile:
    """What kind of a run it is: drawn, so that calm and wild ones both come."""

    reach: int
    """Among how many ready callbacks the next one is drawn."""
    latency: float
    """Seconds that the store takes at most."""
    faults: Mapping[Fault, float]
    """How likely each is, at an operation of the store."""
    reigns: int
    """How many engines own the store, one after another, before the last one."""
    longest: float
    """Seconds that one of them reigns at most."""
    zombies: float
    """How likely an old engine goes on when another takes over."""
    orderly: float
    """How likely it is stopped in order."""
    skews: float
    """How likely the wall's clock is set, or stands still, while an engine reigns."""
    instances: int
    manners: Manners
    limits: Limits
    crew: int
    """How many engines share the store at once; 1: one owns it alone, one after another."""
    deaf: float
    """How likely a word from one of them to another gets lost."""
    slow_words: float
    """Seconds that it takes at most."""
    late: float
    """Seconds at most between the time when a Commit draws its ids, and the time when others see it."""


def draw_profile(chance: Random, seed: int) -> Profile:
    """A kind of run."""
    wild = chance.choice((0.0, 0.5, 1.0, 2.0))
    share = {
        Fault.CRASH_BEFORE: 0.006,
        Fault.CRASH_AFTER: 0.008,
        Fault.ANSWER_LOST: 0.015,
        Fault.COMMIT_LOST: 0.01,
        Fault.FAILED: 0.015,
    }
    crew = Random(f"{seed} crew")  # noqa: S311  (of its own: what one engine alone goes through stays the same)
    size = crew.choice((2, 2, 3, 4)) if crew.random() < 0.33 else 1
    return Profile(
        reach=chance.choice((1, 2, 4, 50)),
        latency=chance.choice((0.0, 0.002, 0.02, 0.3)),
        faults={fault: part * wild for fault, part in share.items()},
        reigns=chance.randint(1, 7),
        longest=chance.choice((3.0, 8.0, 20.0)),
        zombies=chance.choice((0.0, 0.3, 0.6)),
        orderly=chance.choice((0.1, 0.3)),
        skews=chance.choice((0.0, 0.0, 0.4)),
        instances=chance.randint(8, 40),
        manners=Manners(
            slow=chance.choice((0.0, 0.1, 0.3)),
            fails=chance.choice((0.0, 0.1, 0.25)),
            loses=chance.choice((0.0, 0.1, 0.2)),
            breaks=chance.choice((0.0, 0.03, 0.1)),
            undo_breaks=chance.choice((0.0, 0.0, 0.0, 0.05)),
        ),
        limits=Limits(
            cached=chance.choice((1, 3, 2_000)),
            run=chance.choice((1, 3, 100)),
            page=chance.choice((2, 7, 1_000)),
            at_once=chance.choice((3, 10, 1_000)),
            stop_within=chance.choice((1.0, 20.0)),
            lease=crew.choice((4.0, 10.0)),
            hand_over_within=crew.choice((0.5, 3.0, 10.0)),
        ),
        crew=size,
        deaf=crew.choice((0.0, 0.1, 0.5)),
        slow_words=crew.choice((0.0, 0.01, 1.0)),
        late=crew.choice((0.0, 0.05, 0.3)),
    )


class Clients(Protocol):
    """How clients reach whatever engine there is."""

    async def ask(self, what: Callable[[Engine], Awaitable[T]]) -> T:
        """Ask the engine that reigns, and the next one if that dies, until there is an answer."""
        ...


class Subject(Protocol):
    """An app that is simulated, and what its clients and its world do."""

    @property
    def name(self) -> str: ...

    def app(self) -> App:
        """The app."""
        ...

    def earlier(self) -> App | None:
        """An older version of the app, that some engines of a crew still run; None: there is none."""
        ...

    def provide(self, stage: Stage) -> Mapping[Any, object]:
        """What the engine is given: the world outside."""
        ...

    async def drive(self, stage: Stage, clients: Clients) -> None:
        """What clients do while engines come and go. Returns when they have all their answers."""
        ...

    async def urge(self, stage: Stage, clients: Clients) -> bool:
        """Called again and again at the end, when nothing fails any more: what has to happen for all to end.

        True: something was asked for, and it is not over before the next look.
        """
        ...

    def audit(self, stage: Stage) -> Iterable[Finding]:
        """What was not kept, beyond what holds for every app."""
        ...


@dataclass
class Ledger:
    """What the clients know."""

    receipts: dict[str, Receipt] = field(default_factory=dict[str, Receipt])
    """Acknowledged, by idempotency key."""
    keys: dict[str, list[Receipt]] = field(default_factory=dict[str, list[Receipt]])
    """Every receipt of a key: all must be the same."""


class Stage:
    """One run: its loop, its chance, its data, its world."""

    def __init__(self, seed: int, *, keep_trace: bool = False) -> None:
        self.seed = seed
        self.profile = draw_profile(self.chance("profile"), seed)
        self.loop = SeededLoop(self.chance("loop"), reach=self.profile.reach)
        self.wall = Wall(self.loop)
        self.data = MemoryData()
        self.clocks: dict[int, Callable[[], int]] = {}
        """By life: the time as that engine sees it."""
        self.world = World(seed, self.profile.manners, self._clock, self.note, self.loop.micros)
        self.ledger = Ledger()
        self.ordering = Ordering()
        self.found: list[Finding] = []
        """What was seen on the way."""
        self.crashes = 0
        self.leases: dict[str, int] = {}
        """By worker: until when its lease lasts."""
        self.lives: dict[str, int] = {}
        """By worker: the life of its engine."""
        self.ends: dict[int, int] = {}
        """By life: when it was killed, or lost its lease; what it still does, others need not wait for."""
        self.left: set[int] = set()
        """Lives that have given up their lease themselves."""
        self.frozen: set[int] = set()
        """Lives that stood still for a while, or could not renew their lease."""
        self.cut_off: set[int] = set()
        """Lives that cannot renew their lease now, and know of nothing else that is wrong."""
        self.writers: dict[str, int] = {}
        """By message: the life that wrote it, where several engines share the store."""
        self.outside: dict[Any, object] = {}
        """What a subject keeps there of its world outside."""
        self.excused: set[str] = set()
        """Business keys of processes whose code has a bug: a person gives them up."""
        self.trace: list[str] | None = [] if keep_trace else None
        self._digest = blake2b(digest_size=16)

    def chance(self, name: str) -> Random:
        """A source of chance of its own for each purpose."""
        return Random(f"{self.seed} {name}")  # noqa: S311  (all is drawn from the seed)

    def note(self, what: str) -> None:
        """Something happened that another run of the seed must do as well, at the same time."""
        line = f"{self.loop.micros()} {LIFE.get()} {what}"
        self._digest.update(line.encode())
        if self.trace is not None:
            self.trace.append(line)

    def gone(self, life: int) -> None:
        """What this life has under way, nobody waits for."""
        self.ends.setdefault(life, self.loop.micros())

    def expelled(self, worker: str) -> None:
        """Others go on with what this worker owned."""
        life = self.lives[worker]
        self.note(f"{life} is expelled")
        self.gone(life)

    def is_alive(self, life: int) -> bool:
        """Whether it may write, where several engines share the store."""
        return life not in self.ends and life not in self.left

    def wrote(self, life: int, alive: bool, commit: Commit) -> None:
        """A Commit stands."""
        if not alive:
            self.found.append(Finding("wrong", 2, f"life {life} has lost its lease, and has written all the same"))
        for message in commit.messages:
            self.writers[message.id] = life
        self.ordering.wrote(commit)

    def digest(self) -> str:
        """What tells this run from any other: all that was noted, and the log."""
        for message in self.data.messages:
            self._digest.update(f"{message.id} {message.type} {message.recorded_at} ".encode() + message.payload)
        self._digest.update(str(self.loop.steps).encode())
        return self._digest.hexdigest()

    async def pause(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)

    def _clock(self) -> int:
        return self.clocks.get(LIFE.get(), self.wall.read)()
