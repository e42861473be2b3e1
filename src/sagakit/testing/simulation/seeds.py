"""Many seeds, and the engines that are broken on purpose, in several processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from typing import Any, cast

from sagakit.testing.simulation.audit import count_findings
from sagakit.testing.simulation.broken.inside import INSIDE
from sagakit.testing.simulation.broken.planting import Broken
from sagakit.testing.simulation.broken.running import RUNNING
from sagakit.testing.simulation.broken.sharing import SHARING
from sagakit.testing.simulation.run import Verdict, simulate
from sagakit.testing.simulation.stage import Subject
from sagakit.testing.simulation.wanderers.subject import Wanderers

BROKEN: tuple[Broken, ...] = (*INSIDE, *RUNNING, *SHARING)
WITHIN = 200
"""Seeds within which a broken engine has to be caught, from 0."""
CHUNK = 4


@dataclass(frozen=True)
class Caught:
    """A broken engine, and the first seed that finds something in it (None: none does)."""

    name: str
    promise: int
    seed: int | None
    finding: str = ""


@dataclass
class Totals:
    """What all seeds came to."""

    seeds: int = 0
    instances: int = 0
    crashes: int = 0
    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    unsettled: int = 0
    failed: int = 0
    """Seeds with any finding."""
    caught: int = 0
    broken: int = 0

    def add(self, verdict: Verdict) -> None:
        """One more seed."""
        self.seeds += 1
        self.instances += verdict.instances
        self.crashes += verdict.crashes
        self.acknowledged += verdict.acknowledged
        self.lost += count_findings(verdict.findings, "lost")
        self.doubled += count_findings(verdict.findings, "doubled")
        self.unsettled += count_findings(verdict.findings, "unsettled")
        self.failed += bool(verdict.findings)

    @property
    def fine(self) -> bool:
        """Whether nothing was found where nothing is broken, and something wherever something is."""
        return not self.failed and self.caught == self.broken

    def __str__(self) -> str:
        return (
            f"seeds={self.seeds} instances={self.instances} crashes={self.crashes} acknowledged={self.acknowledged} "
            f"lost={self.lost} doubled={self.doubled} unsettled={self.unsettled} caught={self.caught}/{self.broken}"
        )


def subjects_of(names: Iterable[str]) -> Sequence[Subject]:
    """The drawn processes, and what `MODULE:NAME` names: a subject, or several."""
    found: list[Subject] = [Wanderers()]
    for name in names:
        module, _, attribute = name.partition(":")
        named: Any = getattr(import_module(module), attribute)
        found += cast("Sequence[Subject]", named) if isinstance(named, list | tuple) else [named]
    return found


def subject_for(seed: int, subjects: Sequence[Subject]) -> Subject:
    """Every other seed is for the drawn processes, the rest for the others in turn."""
    if len(subjects) == 1 or seed % 2 == 0:
        return subjects[0]
    return subjects[1 + seed // 2 % (len(subjects) - 1)]


def run_seeds(seeds: Sequence[int], names: Sequence[str] = ()) -> list[Verdict]:
    """Run these seeds, one after the other."""
    subjects = subjects_of(names)
    return [simulate(seed, subject_for(seed, subjects)) for seed in seeds]


def catch(number: int, seeds: int = WITHIN) -> Caught:
    """Find something in a broken engine."""
    broken, subject = BROKEN[number], Wanderers()
    with broken.planted():
        for seed in range(seeds):
            findings = simulate(seed, subject).findings
            if findings:
                return Caught(broken.name, broken.promise, seed, f"promise {findings[0].promise}: {findings[0].what}")
    return Caught(broken.name, broken.promise, None)


def run_all(seeds: Sequence[int], names: Sequence[str], *, jobs: int = 0) -> Iterator[Verdict | Caught]:
    """Run the seeds, and try every broken engine; what is done first comes first."""
    jobs = jobs or os.cpu_count() or 1
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        doing: list[Future[Any]] = [pool.submit(_one, number) for number in range(len(BROKEN))]
        chunks = [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)]
        doing += [pool.submit(run_seeds, chunk, names) for chunk in chunks]
        for done in as_completed(doing):
            yield from done.result()


def _one(number: int) -> list[Caught]:
    return [catch(number)]


Tell = Callable[[str], object]


def report(seeds: Sequence[int], names: Sequence[str], tell: Tell, *, jobs: int = 0, table: bool = False) -> Totals:
    """Run everything, and say what was found."""
    totals = Totals()
    caught: list[Caught] = []
    for result in run_all(seeds, names, jobs=jobs):
        if isinstance(result, Caught):
            caught.append(result)
            continue
        totals.add(result)
        if result.findings:
            tell(f"seed {result.seed} ({result.subject}): make simulate SEED={result.seed}")
            for finding in result.findings[:10]:
                tell(f"  {finding.kind}, promise {finding.promise}: {finding.what}")
    totals.broken, totals.caught = len(caught), sum(one.seed is not None for one in caught)
    for one in sorted(caught, key=lambda one: (one.promise, one.name)):
        if one.seed is None:
            tell(f"not caught: promise {one.promise}, {one.name}")
        elif table:
            tell(f"promise {one.promise}: {one.name}: caught at seed {one.seed} ({one.finding[:90]})")
    return totals
