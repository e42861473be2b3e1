"""The app that is wandered through: put together once, whatever the seed."""

from __future__ import annotations

from functools import cache

from sagakit import App, Saga, Step
from sagakit.testing.simulation.wanderers.handlers import add_handlers
from sagakit.testing.simulation.wanderers.managers import Gathering, Keeping
from sagakit.testing.simulation.wanderers.messages import (
    Book,
    Booked,
    Errand,
    ErrandDone,
    FewStepsBegun,
    GatheringBegun,
    HurryBegun,
    KeepingBegun,
    Pack,
    Packed,
    Paid,
    Pay,
    Put,
    Refund,
    Signal,
    StepsBegun,
    Stored,
    Take,
    Unbook,
    Unpack,
    WalkBegun,
)
from sagakit.testing.simulation.wanderers.programs import walk

DEADLINE = 25.0


async def walking(begun: WalkBegun, saga: Saga) -> None:
    """A code saga that goes through the program it is started with."""
    await walk(begun.key, begun.program, saga)


async def hurrying(begun: HurryBegun, saga: Saga) -> None:
    """The same, with a deadline."""
    await walk(begun.key, begun.program, saga)


async def errand(asked: Errand, saga: Saga) -> ErrandDone:
    """A child: it is told by a parent what to do, and answers it."""
    await walk(asked.key, asked.program, saga)
    return ErrandDone(asked.key, asked.n)


def _book(begun: StepsBegun) -> Book:
    return Book(begun.key, 1)


def _pay(begun: StepsBegun, booked: Booked) -> Pay:
    return Pay(begun.key, booked.n + 1, "till-steps")


def _pack(begun: StepsBegun) -> Pack:
    return Pack(begun.key, 3)


def _put(begun: StepsBegun) -> Put:
    return Put(begun.key, 4, "shelf-steps")


def _unbook(begun: StepsBegun) -> Unbook:
    return Unbook(begun.key, 1)


def _refund(begun: StepsBegun) -> Refund:
    return Refund(begun.key, 2)


def _unpack(begun: StepsBegun) -> Unpack:
    return Unpack(begun.key, 3)


def _take(begun: StepsBegun) -> Take:
    return Take(begun.key, 4, "shelf-steps")


def _few_pack(begun: FewStepsBegun) -> Pack:
    return Pack(begun.key, 1)


def _few_unpack(begun: FewStepsBegun) -> Unpack:
    return Unpack(begun.key, 1)


def _few_book(begun: FewStepsBegun) -> Book:
    return Book(begun.key, 2, undoable=False)


def _few_pay(begun: FewStepsBegun) -> Pay:
    return Pay(begun.key, 3, "till-steps")


def _few_refund(begun: FewStepsBegun) -> Refund:
    return Refund(begun.key, 3)


@cache
def wanderers(*, earlier: bool = False) -> App:
    """All handlers, and a process of each kind; `earlier`: the version before it got its last listener."""
    app = App("wanderers")
    add_handlers(app, earlier=earlier)
    app.saga(key="key", receives=Signal)(walking)
    app.saga(key="key", receives=Signal, deadline=DEADLINE)(hurrying)
    app.saga(key="key")(errand)
    app.step_saga(
        "steps",
        Step(_book, then=Booked, undo=_unbook),
        Step(_pay, then=Paid, undo=_refund),
        Step(_pack, then=Packed, undo=_unpack),
        Step(_put, then=Stored, undo=_take),
        starts_with=StepsBegun,
        key="key",
    )
    app.step_saga(
        "few_steps",
        Step(_few_pack, then=Packed, undo=_few_unpack),
        Step(_few_book, then=Booked),
        Step(_few_pay, then=Paid, undo=_few_refund),
        starts_with=FewStepsBegun,
        key="key",
    )
    app.process_manager(key="key", starts_with=KeepingBegun, name="keeping")(Keeping)
    app.process_manager(key="key", starts_with=GatheringBegun, name="gathering")(Gathering)
    return app
