"""Repeats are answered from copies; what is not certain is asked of the store."""

import asyncio

import pytest
from tests.idempotency.shelf import Books, Gateway, Shelf, Time

from sagakit.errors import KeyInFlight, KeyReused, WaitTimeout
from sagakit.idempotency import Settings
from sagakit.idempotency.record import encode, sealed


async def begun(gateway: Gateway, books: Books, key: str = "k-1") -> "asyncio.Task[bytes]":
    """A request that the store is busy with until its gate opens."""
    books.gate = asyncio.Event()
    task = asyncio.create_task(gateway.ask(key))
    before = books.asked
    while books.asked == before:
        await asyncio.sleep(0)
    return task


async def test_a_repeat_is_answered_here_without_the_server(one: Gateway, books: Books, shelf: Shelf) -> None:
    first = await one.ask()
    calls = len(shelf.calls)
    assert await one.ask() == first
    assert (books.asked, len(shelf.calls), one.counted.near) == (1, calls, 1)


async def test_a_repeat_elsewhere_is_answered_from_the_servers_copy(one: Gateway, two: Gateway, books: Books) -> None:
    first = await one.ask()
    assert await two.ask() == first
    assert await two.ask() == first
    assert (books.asked, two.counted.shared, two.counted.near) == (1, 1, 1)


async def test_another_request_with_the_key_is_refused_by_the_store(one: Gateway, two: Gateway, books: Books) -> None:
    first = await one.ask()
    for gateway in (one, two):
        with pytest.raises(KeyReused):
            await gateway.ask(digest="d-2")
        assert await gateway.ask() == first
    assert books.effects == 1


async def test_while_the_first_is_being_accepted_a_repeat_is_told_so(one: Gateway, two: Gateway, books: Books) -> None:
    first = await begun(one, books)
    for gateway in (one, two):
        with pytest.raises(KeyInFlight, match="'k-1' is still being accepted"):
            await gateway.ask()
    assert books.asked == 1
    assert books.gate is not None
    books.gate.set()
    assert await first == await two.ask()


async def test_a_claim_whose_holder_is_gone_runs_out(one: Gateway, two: Gateway, books: Books, time: Time) -> None:
    first = await begun(one, books)
    time.now += Settings().lease
    assert books.gate is not None
    books.gate.set()
    assert await two.ask() == await first
    assert books.effects == 1


async def test_a_claim_left_behind_does_not_hide_what_the_store_knows(
    two: Gateway, books: Books, shelf: Shelf, one: Gateway
) -> None:
    first = await one.ask()
    (name,) = shelf.values
    shelf.values[name] = (10**9, encode(sealed("db", name, "d-1", token="of one who is gone")))
    assert await two.ask() == first


async def test_what_failed_is_let_go_at_once_and_not_copied(one: Gateway, two: Gateway, books: Books) -> None:
    books.error = WaitTimeout("not yet")
    with pytest.raises(WaitTimeout):
        await one.ask()
    books.error = None
    assert await two.ask() == await one.ask()


async def test_a_request_that_is_cancelled_lets_go(one: Gateway, two: Gateway, books: Books) -> None:
    first = await begun(one, books)
    first.cancel()
    await asyncio.wait([first])
    books.gate = None
    assert await two.ask() == await one.ask()


async def test_only_the_holder_lets_go(one: Gateway, two: Gateway, books: Books, time: Time) -> None:
    first = await begun(one, books)
    time.now += Settings().lease
    second = await begun(two, books)
    first.cancel()
    await asyncio.wait([first])
    with pytest.raises(KeyInFlight):
        await one.ask()
    second.cancel()
    await asyncio.wait([second])


async def test_a_lost_copy_costs_a_question_and_no_effect(
    one: Gateway, two: Gateway, books: Books, shelf: Shelf
) -> None:
    first = await one.ask()
    shelf.values.clear()
    assert await two.ask() == first
    assert (books.asked, books.effects) == (2, 1)


async def test_copies_of_another_database_are_not_found(one: Gateway, two: Gateway, books: Books) -> None:
    await one.ask()
    books.accepted.clear()
    assert await two.ask(identity="another") == b'{"number":2}'


async def test_what_is_not_ours_is_not_believed(one: Gateway, two: Gateway, books: Books, shelf: Shelf) -> None:
    first = await one.ask()
    (name,) = shelf.values
    for lie in (b"", b"garbage", encode(sealed("db", "another", "d-1", answer=b'{"number":99}'))):
        shelf.values[name] = (10**9, lie)
        two = Gateway(shelf, books, shelf.time)
        assert await two.ask() == first
        assert two.counted.distrusted == 1


async def test_nothing_of_a_key_or_a_request_is_in_the_servers_keys(one: Gateway, shelf: Shelf) -> None:
    await one.ask("ann@example.org")
    (name,) = shelf.values
    assert len(name) == 32
    assert b"ann@example.org" not in shelf.values[name][1]


async def test_a_long_answer_is_not_copied(books: Books, shelf: Shelf, time: Time) -> None:
    one = Gateway(shelf, books, time, Settings(longest=5))
    first = await one.ask()
    assert shelf.values == {}
    assert await one.ask() == first
    assert books.asked == 2


async def test_without_a_server_repeats_are_answered_here(books: Books, time: Time) -> None:
    alone = Gateway(None, books, time)
    asking = await begun(alone, books)
    with pytest.raises(KeyInFlight):
        await alone.ask()
    assert books.gate is not None
    books.gate.set()
    first = await asking
    assert await alone.ask() == first
    assert (books.asked, alone.fast.state) == (1, "memory")
    await alone.fast.close()
