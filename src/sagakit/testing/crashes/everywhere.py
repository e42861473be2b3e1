"""`crash_everywhere`: one decorator, and a test says that no crash, no repetition and no order changes its outcome.

@crash_everywhere(app, provide=lambda: {Bank: Bank()})
async def test_an_order(trial: Trial) -> object:
    await trial.send(PlaceOrder("o-1"))
    await trial.finish()
    return trial.provided[Bank].balance
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import wraps
from random import Random
from typing import Any, Concatenate, ParamSpec

from sagakit.app import App
from sagakit.core.lifecycle import BatchPage, HandedOver
from sagakit.core.messages import WIRE
from sagakit.engine.limits import Limits
from sagakit.engine.topology import Topology
from sagakit.stores.memory import MemoryData
from sagakit.testing.crashes.disorder import LateEngine, ShuffledEngine, StaleEngine, ThriceEngine
from sagakit.testing.crashes.trial import Plan, Trial
from sagakit.testing.faults import Fault
from sagakit.testing.simulation.loop import SeededLoop
from sagakit.testing.simulation.run import silence

_AS_IT_COMES = frozenset(getattr(one, WIRE)[0] for one in (BatchPage, HandedOver))
"""How many there are depends on what was read together, and on whether an answer comes before its hand-over."""
P = ParamSpec("P")

FAULTS = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.ANSWER_LOST, Fault.COMMIT_LOST)
PLAIN = Plan("the plain run")
ORDERS = 5


@dataclass(frozen=True)
class Outcome:
    """How a run ended: the same in every other run."""

    returned: object
    """What the test returned."""
    processes: tuple[tuple[str, str, str, str, str], ...]
    """Type, key, status, cause and reason of every instance."""
    messages: Counter[str]
    """How many of each type the log holds."""
    left: tuple[tuple[str, str, str], ...]
    """What is still to be done: message type, consumer and state."""


def crash_everywhere(
    app: App | Callable[[], App],
    *,
    provide: Callable[[], Mapping[Any, object]] | None = None,
    orders: int = ORDERS,
    limits: Limits | None = None,
) -> Callable[[Callable[Concatenate[Trial, P], Awaitable[object]]], Callable[P, None]]:
    """Run a test plainly, then with a crash before, after and with a lost answer at every commit, and in disorder.

    Every run has a store of its own in memory, what `provide` makes, and a time that passes by itself when nothing else
    can be done: a process of a month takes milliseconds. Each must have the outcome of the plain one: what the test
    returns, how its processes ended, the messages of the log, and what is left to do. `orders`: how many other orders
    of what runs side by side are tried; 0 where the order decides who gets the last one.
    """
    given = provide or _nothing

    def decorate(test: Callable[Concatenate[Trial, P], Awaitable[object]]) -> Callable[P, None]:
        @wraps(test)
        def everywhere(*args: P.args, **named: P.kwargs) -> None:
            topology = (app if isinstance(app, App) else app()).topology(provide=list(given()))

            def run(plan: Plan) -> tuple[Outcome, int]:
                return _run(lambda trial: test(trial, *args, **named), topology, given(), plan, limits)

            with silence():
                _compare(run, orders)

        parameters = list(inspect.signature(test).parameters.values())[1:]  # what a runner of tests is to give
        everywhere.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportAttributeAccessIssue]
        del everywhere.__wrapped__
        return everywhere

    return decorate


def plans(commits: int, orders: int) -> Iterator[Plan]:
    """All other runs, where the plain one has so many commits."""
    for number in range(1, commits + 1):
        for fault in FAULTS:
            yield Plan(f"commit {number} of {commits}: {fault.value}", number, fault)
    yield Plan("every delivery three times", engine=ThriceEngine)
    yield Plan("a stale attempt before and after every delivery", engine=StaleEngine)
    yield Plan("every request twice", twice=True)
    for seed in range(1, orders + 1):
        yield Plan(f"another order ({seed})", engine=ShuffledEngine, reach=50, seed=seed)
        yield Plan(f"another order ({seed}), and processes told later", engine=LateEngine, reach=50, seed=seed)


def _compare(run: Callable[[Plan], tuple[Outcome, int]], orders: int) -> None:
    expected, commits = run(PLAIN)
    for plan in plans(commits, orders):
        try:
            found, _ = run(plan)
        except Exception as error:
            raise AssertionError(f"{plan.what}: {type(error).__name__}: {error}") from error
        if found != expected:
            raise AssertionError(f"{plan.what}\n{_difference(expected, found)}")


def _run(
    test: Callable[[Trial], Awaitable[object]],
    topology: Topology,
    provided: Mapping[Any, object],
    plan: Plan,
    limits: Limits | None,
) -> tuple[Outcome, int]:
    loop = SeededLoop(Random(plan.seed), reach=plan.reach)  # noqa: S311  (the same order each time)

    async def play() -> tuple[Outcome, int]:
        trial = Trial(loop, topology, provided, plan, limits)
        await trial.start()
        returned = await test(trial)
        await trial.finish()
        commits = trial.commits
        await trial.stop()
        return _outcome(returned, trial.data), commits

    try:
        ended = loop.run_until_complete(play())
        if loop.errors:
            raise AssertionError("; ".join(loop.errors))
        return ended
    finally:
        loop.bury()


def _outcome(returned: object, data: MemoryData) -> Outcome:
    return Outcome(
        returned,
        tuple(sorted((one.type, one.key, one.status, one.cause, one.reason) for one in data.search.values())),
        # in how many pages the rows of a batch were read is no outcome: a new engine reads on where the last one was
        Counter(message.type for message in data.messages if message.type not in _AS_IT_COMES),
        tuple(sorted((one.envelope.type, one.consumer, one.state) for one in data.deliveries.values())),
    )


def _difference(expected: Outcome, found: Outcome) -> str:
    lines: list[str] = []
    for field in fields(Outcome):
        was, now = getattr(expected, field.name), getattr(found, field.name)
        if was != now:
            lines += [f"  {field.name}, without it: {was!r}", f"  {field.name}, with it:    {now!r}"]
    return "\n".join(lines)


def _nothing() -> Mapping[Any, object]:
    return {}
