"""One seed: engines come and go while clients ask; then nothing fails any more, and everything must end."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from logging import CRITICAL

import structlog
from structlog.typing import EventDict, WrappedLogger

from sagakit.core.commit import ENDED
from sagakit.engine.engine import Engine
from sagakit.testing.simulation.audit import audit_store
from sagakit.testing.simulation.engines.crew import Crew
from sagakit.testing.simulation.engines.lives import Lives
from sagakit.testing.simulation.engines.reigns import Reigns
from sagakit.testing.simulation.loop import Stuck
from sagakit.testing.simulation.stage import Finding, Stage, Subject

MOST_ROUNDS = 150
"""Looks at whether everything has ended; between them time passes, longer and longer."""
CALM_ROUNDS = 8
"""So many of them without a change: then nothing more will come."""
LATEST = 60_000_000
"""Microseconds after it was due that something may still happen."""


@dataclass(frozen=True)
class Verdict:
    """What came of one seed."""

    seed: int
    subject: str
    digest: str
    instances: int
    crashes: int
    acknowledged: int
    findings: tuple[Finding, ...]
    steps: int
    trace: tuple[str, ...] = ()


def simulate(seed: int, subject: Subject, *, keep_trace: bool = False) -> Verdict:
    """Run one seed, from its beginning to its audit. The same seed gives the same run, callback by callback."""
    stage = Stage(seed, keep_trace=keep_trace)
    with _uncollected(), silence():
        try:
            findings, digest = _found(stage, subject)
        finally:
            stage.loop.bury()
    return Verdict(
        seed,
        subject.name,
        digest,
        len(stage.data.instances),
        stage.crashes,
        len(stage.ledger.receipts),
        tuple(dict.fromkeys(findings)),
        stage.loop.steps,
        tuple(stage.trace or ()),
    )


def _found(stage: Stage, subject: Subject) -> tuple[list[Finding], str]:
    findings: list[Finding] = []
    try:
        stage.loop.run_until_complete(_play(stage, subject))
    except Stuck as stuck:
        findings.append(Finding("unsettled", 5, str(stuck)))
    except Exception as error:  # a broken engine may raise anything
        findings.append(Finding("wrong", 0, f"{type(error).__name__}: {error}"))
    findings += [Finding("wrong", 0, error) for error in stage.loop.errors]
    digest = stage.digest()
    return [*findings, *stage.found, *audit_store(stage), *subject.audit(stage)], digest


async def _play(stage: Stage, subject: Subject) -> None:
    lives = Crew(stage, subject) if stage.profile.crew > 1 else Reigns(stage, subject)
    driving = asyncio.create_task(subject.drive(stage, lives))
    await lives.rule()
    lives.faulty = False
    stage.world.healed = True
    stage.note("nothing fails any more")
    staying = await lives.stay()
    await driving
    await _come_to_an_end(stage, subject, lives, staying)
    stage.note("all is over")
    await asyncio.sleep(5.0)  # what was doubled may still show
    await lives.close()


async def _come_to_an_end(stage: Stage, subject: Subject, lives: Lives, staying: list[Engine]) -> None:
    """Let time pass until everything has ended, or nothing changes any more."""
    pause, calm, length = 0.5, 0, 0
    for _ in range(MOST_ROUNDS):
        urged = await subject.urge(stage, lives)
        await asyncio.sleep(pause)
        pause = min(pause * 1.2, 30.0)
        for engine in staying:
            if engine.fatal is not None:
                raise engine.fatal
        moved = len(stage.data.messages) != length or _is_coming(stage, staying)
        calm, length = 0 if moved else calm + 1, len(stage.data.messages)
        if calm == CALM_ROUNDS or (not urged and all(engine.idle for engine in staying) and _all_over(stage)):
            return


def _is_coming(stage: Stage, staying: list[Engine]) -> bool:
    """Whether something is due later."""
    if stage.profile.crew == 1:
        return staying[0].next_due is not None
    # several engines look at each other for ever: that is no change
    since = stage.wall.read() - LATEST
    deliveries = stage.data.deliveries.values()
    return any(one.state in ("scheduled", "retrying") and one.due_at > since for one in deliveries)


def _all_over(stage: Stage) -> bool:
    data = stage.data
    return not data.deliveries and all(row.status in ENDED for row in data.instances.values())


@contextmanager
def _uncollected() -> Generator[None]:
    """Without Python's search for garbage: when it comes depends on all that was before."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@contextmanager
def silence() -> Generator[None]:
    """What the engines log is not for people: they fail on purpose."""
    before = structlog.get_config()
    structlog.configure(processors=[_drop], wrapper_class=structlog.make_filtering_bound_logger(CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


def _drop(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    raise structlog.DropEvent
