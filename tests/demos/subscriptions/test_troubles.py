"""Whatever goes wrong at whichever step: the undos are exact, who waits is told, one alert is raised, and it ends."""

from __future__ import annotations

import asyncio

import pytest
from tests.demos.subscriptions.conftest import FORWARD, KINDS, START, UNDOS, Service
from tests.each_store import ON_EACH_STORE

from sagakit import OutcomeUnknown, Refused
from sagakit.demos.subscriptions.messages import Order
from sagakit.demos.subscriptions.provider.weather import Weather

pytestmark = ON_EACH_STORE

STEPS = range(1, 6)


def waiting(service: Service) -> asyncio.Task[Order.Step3.SessionCreated]:
    return asyncio.ensure_future(service.engine.send_and_wait(START, until=Order.Step3.SessionCreated, timeout=10_000))


async def is_undone_from(service: Service, last: int, step: int, *, reason: str) -> None:
    """The commands are those up to `step`, and the undos from `last` down; the books are even; one alert, one end."""
    commands = [one for one in await service.commands() if one is not Order.Start]
    assert commands == [*FORWARD[:step], *reversed(UNDOS[:last]), Order.Failed.RaiseAlert]
    assert not service.books.made, "what was made is taken back"
    ((order_id, told),) = service.alerts
    assert order_id == START.order_id
    assert reason in told
    assert await service.status() == "compensated"


async def test_nothing_goes_wrong(subscriptions: Service) -> None:
    waiter = waiting(subscriptions)
    await subscriptions.answered()
    assert (await waiter).session_id == "session-o-1"
    await subscriptions.answered()
    assert [one for one in await subscriptions.commands() if one is not Order.Start] == list(FORWARD)
    assert await subscriptions.status() == "completed"
    assert [(kind, reference) for _, kind, reference in subscriptions.books.ledger] == [(one, "o-1") for one in KINDS]
    assert not subscriptions.alerts


@pytest.mark.parametrize("step", STEPS)
async def test_a_refusal(subscriptions: Service, step: int) -> None:
    subscriptions.weather(trouble="refuse", kind=KINDS[step - 1])
    waiter = waiting(subscriptions)
    await subscriptions.passes(2)
    await is_undone_from(subscriptions, step - 1, step, reason=f"{KINDS[step - 1]} are not possible today")
    if step <= 3:
        with pytest.raises(Refused, match=f"{KINDS[step - 1]} are not possible today"):
            await waiter
    else:
        assert (await waiter).session_id == "session-o-1"


@pytest.mark.parametrize("step", STEPS)
async def test_an_outage(subscriptions: Service, step: int) -> None:
    subscriptions.weather(trouble="outage", kind=KINDS[step - 1])
    waiter = waiting(subscriptions)
    await subscriptions.passes(10)
    await is_undone_from(subscriptions, step, step, reason="503: the provider is down")
    if step <= 3:
        with pytest.raises(OutcomeUnknown, match="503: the provider is down"):
            await waiter
    else:
        await waiter


@pytest.mark.parametrize("step", STEPS)
async def test_an_answer_that_is_lost_every_time(subscriptions: Service, step: int) -> None:
    """It was done, and nobody knows: it is taken back like the others."""
    subscriptions.weather(trouble="lost", kind=KINDS[step - 1])
    waiter = waiting(subscriptions)
    await subscriptions.passes(10)
    await is_undone_from(subscriptions, step, step, reason="504: the answer was lost")
    assert subscriptions.books.ledger.count(("create", KINDS[step - 1], "o-1")) == 1
    if step <= 3:
        with pytest.raises(OutcomeUnknown):
            await waiter
    else:
        await waiter


@pytest.mark.parametrize("step", STEPS)
async def test_an_outage_that_passes(subscriptions: Service, step: int) -> None:
    subscriptions.weather(trouble="outage", kind=KINDS[step - 1], times=2)
    waiter = waiting(subscriptions)
    await subscriptions.passes(10)
    await waiter
    assert await subscriptions.status() == "completed"
    assert not subscriptions.alerts


@pytest.mark.parametrize("step", STEPS)
async def test_no_answer_in_time(subscriptions: Service, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, started, never = KINDS[step - 1], asyncio.Event(), asyncio.Event()
    create = subscriptions.provider.create

    async def hanging(of: str, reference: str, key: str, **asked: object) -> dict[str, object]:
        made = await create(of, reference, key, **asked)
        if of == kind:  # done, and the answer never comes
            started.set()
            await never.wait()
        return made

    monkeypatch.setattr(subscriptions.provider, "create", hanging)
    waiter = waiting(subscriptions)
    await asyncio.wait_for(started.wait(), 60)
    await subscriptions.engine.advance(seconds=29)
    assert await subscriptions.status() == "running"
    await subscriptions.engine.advance(seconds=1)
    await subscriptions.answered()
    await is_undone_from(subscriptions, step, step, reason="timed out after 30 s")
    if step <= 3:
        with pytest.raises(OutcomeUnknown, match="timed out after 30 s"):
            await waiter
    else:
        await waiter


async def test_the_undo_meets_an_outage_too(subscriptions: Service) -> None:
    subscriptions.sky.set(
        [
            Weather(trouble="refuse", kind="sessions"),
            Weather(trouble="outage", kind="plans", method="DELETE", times=3),
        ]
    )
    with pytest.raises(Refused):
        await waiting(subscriptions)
    await subscriptions.passes(10)
    await is_undone_from(subscriptions, 2, 3, reason="sessions are not possible today")
