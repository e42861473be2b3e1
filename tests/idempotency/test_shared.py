"""A server that is away: it costs a bounded time, then none, and no answer is another one."""

import asyncio

import pytest
from structlog.testing import capture_logs
from tests.idempotency.shelf import Books, Gateway, Shelf, Time

from sagakit.idempotency import Settings

PATIENCE = 60.0
"""Far more than any machine takes by itself: it ends where a test moves the clock."""


@pytest.fixture
async def loop_time(monkeypatch: pytest.MonkeyPatch) -> Time:
    """The clock of the event loop: its timers go off where a test moves it. For those that ask for it first."""
    time, loop = Time(), asyncio.get_running_loop()
    time.now = loop.time()
    monkeypatch.setattr(loop, "time", time)
    return time


async def opened(gateway: Gateway, shelf: Shelf) -> None:
    shelf.trouble = ConnectionError("refused")
    for number in range(3):
        await gateway.ask(f"before-{number}")
    assert gateway.fast.state == "open"


async def test_a_server_that_fails_is_left_alone_after_three_failures(one: Gateway, shelf: Shelf, books: Books) -> None:
    with capture_logs() as logs:
        await opened(one, shelf)
        for number in range(10):
            await one.ask(f"k-{number}")
    assert shelf.calls == ["claim"] * 3
    assert (books.effects, one.counted.failed, one.counted.opened) == (13, 3, 1)
    assert [entry["event"] for entry in logs] == ["the idempotency server is left alone: the store answers"]
    assert shelf.forgotten == 1


async def test_while_it_is_away_repeats_are_answered_from_memory(one: Gateway, shelf: Shelf, books: Books) -> None:
    await opened(one, shelf)
    first = await one.ask()
    asked = books.asked
    assert await one.ask() == first
    assert books.asked == asked


async def test_a_hanging_server_costs_a_request_its_patience_and_the_later_ones_nothing(
    loop_time: Time, shelf: Shelf, books: Books, time: Time
) -> None:
    one = Gateway(shelf, books, time, Settings(patience=PATIENCE))
    shelf.hanging = True
    for number in range(3):
        asking = asyncio.create_task(one.ask(f"k-{number}"))
        while len(shelf.calls) == number:
            await asyncio.sleep(0)
        loop_time.now += PATIENCE - 0.001
        for _ in range(10):
            await asyncio.sleep(0)
        assert not asking.done()
        loop_time.now += 0.001
        await asking
    for number in range(3, 6):
        await one.ask(f"k-{number}")  # the clock stands: were it to wait, it would for ever
    assert shelf.calls == ["claim"] * 3


async def test_no_request_waits_for_the_probe(
    loop_time: Time, one: Gateway, shelf: Shelf, books: Books, time: Time
) -> None:
    await opened(one, shelf)
    shelf.trouble, shelf.hanging = None, True
    time.now += 2
    await one.ask("while it is probed")
    await one.ask("while it is probed, too")
    assert one.fast.state == "half_open"
    assert shelf.calls[3:] == ["ping"]
    loop_time.now += PATIENCE
    while one.fast.state == "half_open":
        await asyncio.sleep(0)
    assert one.fast.state == "open"


async def test_it_is_used_again_once_a_probe_succeeds(
    one: Gateway, two: Gateway, shelf: Shelf, books: Books, time: Time
) -> None:
    await opened(one, shelf)
    shelf.trouble = None
    time.now += 2
    with capture_logs() as logs:
        await one.ask("probes")
        while one.fast.state != "closed":
            await asyncio.sleep(0)
    assert [entry["event"] for entry in logs] == ["the idempotency server is back"]
    first, asked = await one.ask(), books.asked
    assert await two.ask() == first
    assert books.asked == asked


async def test_probes_that_fail_are_not_told_one_by_one(one: Gateway, shelf: Shelf, time: Time) -> None:
    await opened(one, shelf)
    with capture_logs() as logs:
        for number in range(3):
            time.now += 2
            await one.ask(f"k-{number}")
            while one.fast.state == "half_open":
                await asyncio.sleep(0)
    assert logs == []
    assert one.counted.opened == 4


async def test_a_copy_that_cannot_be_put_there_leaves_the_answer_as_it_is(
    one: Gateway, two: Gateway, shelf: Shelf, books: Books
) -> None:
    books.gate = asyncio.Event()
    asking = asyncio.create_task(one.ask())
    while not books.asked:
        await asyncio.sleep(0)
    shelf.trouble = ConnectionError("gone meanwhile")
    books.gate.set()
    first = await asking
    assert await two.ask() == first
    assert books.effects == 1


async def test_closing_ends_the_probe(one: Gateway, shelf: Shelf, time: Time) -> None:
    await opened(one, shelf)
    shelf.hanging = True
    time.now += 2
    await one.ask()
    await asyncio.sleep(0)
    await one.fast.close()
    assert shelf.closed


@pytest.mark.parametrize("name", ["keep", "lease", "patience", "rest", "failures", "connections"])
def test_settings_are_above_zero(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 0"):
        Settings(**{name: 0})
