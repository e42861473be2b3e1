"""The fast path over a real Valkey: killed, paused, flushed, restarted."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.idempotency.shelf import Books
from tests.servers.valkey import ValkeyProcess, process

from sagakit.idempotency import Asked, FastPath, Settings, fast_path
from sagakit.idempotency.redis import PREFIX, RedisServer, UnknownServer, without_secrets

PATIENT = Settings(patience=30.0)
"""For tests in which the server answers, on a machine that may be busy."""
LEASE = 60.0
"""Seconds that outlast such a test."""


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[ValkeyProcess]:
    with process(tmp_path / "valkey") as server:
        yield server


@pytest.fixture
async def server(valkey: ValkeyProcess) -> AsyncIterator[RedisServer]:
    server = RedisServer(valkey.url, PATIENT)
    yield server
    await server.close()


async def ask(fast: FastPath, books: Books, key: str) -> bytes:
    asked = Asked("db", "place", key, "d-1")
    return await fast.once(asked, books.accept(asked), books.known(asked))


async def test_the_first_claim_holds_and_runs_out(valkey: ValkeyProcess, server: RedisServer) -> None:
    assert await server.claim("n-1", b"one", LEASE) is None
    assert await server.claim("n-1", b"two", LEASE) == b"one"
    assert 0 < int(valkey.say(f"PTTL {PREFIX}n-1")[1:]) <= 60_000


async def test_only_the_holder_lets_go(server: RedisServer) -> None:
    await server.claim("n-1", b"one", LEASE)
    await server.release("n-1", b"two")
    assert await server.claim("n-1", b"two", LEASE) == b"one"
    await server.release("n-1", b"one")
    assert await server.claim("n-1", b"two", LEASE) is None


async def test_an_answer_is_kept_for_its_time(valkey: ValkeyProcess, server: RedisServer) -> None:
    await server.claim("n-1", b"one", LEASE)
    await server.put("n-1", b"the answer", 3600.0)
    assert await server.claim("n-1", b"two", LEASE) == b"the answer"
    assert 60_000 < int(valkey.say(f"PTTL {PREFIX}n-1")[1:]) <= 3_600_000


async def test_of_many_claims_at_once_one_holds(server: RedisServer) -> None:
    found = await asyncio.gather(*(server.claim("n-1", b"%d" % number, LEASE) for number in range(100)))
    (holder,) = (number for number, value in enumerate(found) if value is None)
    assert {value for value in found if value is not None} == {b"%d" % holder}


async def test_a_server_that_was_flushed_or_has_forgotten_its_scripts(
    valkey: ValkeyProcess, server: RedisServer
) -> None:
    await server.claim("n-1", b"one", LEASE)
    valkey.say("FLUSHALL")
    valkey.say("SCRIPT FLUSH")
    assert await server.claim("n-1", b"two", LEASE) is None


async def test_replies_that_come_too_late_go_to_nobody(valkey: ValkeyProcess, server: RedisServer) -> None:
    await server.put("a", b"of a", 60)
    await server.put("b", b"of b", 60)
    valkey.pause()
    for _ in range(20):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.005):
                await server.claim("a", b"late", LEASE)
    valkey.go_on()
    assert await asyncio.gather(*(server.claim("b", b"x", LEASE) for _ in range(50))) == [b"of b"] * 50


async def test_paused_then_going_on(valkey: ValkeyProcess) -> None:
    now = 100.0
    settings, books = Settings(patience=0.05), Books()
    one, two = (fast_path(valkey.url, its, now=lambda: now) for its in (settings, PATIENT))
    first = await ask(one, books, "before")
    valkey.pause()
    answers = {key: await ask(one, books, key) for key in ("k-1", "k-2", "k-3", "k-4")}
    assert one.state == "open"
    valkey.go_on()
    probes = 0
    while one.state != "closed":  # a busy machine's server may be late for the first of them
        now += settings.rest
        await ask(one, books, f"probes-{probes}")
        probes += 1
        while one.state == "half_open":
            await asyncio.sleep(0)
    # claims of requests that gave up waiting may stand at the server now: the store is asked
    assert {key: await ask(two, books, key) for key in answers} == answers
    assert await ask(two, books, "before") == first
    assert books.effects == 5 + probes
    await one.close()
    await two.close()


async def test_killed_and_started_again(valkey: ValkeyProcess) -> None:
    now = 100.0
    books = Books()
    one, two = (fast_path(valkey.url, PATIENT, now=lambda: now) for _ in range(2))
    await ask(one, books, "before")
    valkey.kill()
    answers = {key: await ask(one, books, key) for key in ("k-1", "k-2", "k-3", "k-4")}
    assert one.state == "open"
    valkey.start()
    now += PATIENT.rest
    await ask(one, books, "probes")
    while one.state != "closed":
        await asyncio.sleep(0)
    assert {key: await ask(two, books, key) for key in answers} == answers
    after = await ask(one, books, "after")
    asked = books.asked
    assert await ask(two, books, "after") == after
    assert books.asked == asked
    await one.close()
    await two.close()


async def test_passwords_are_told_nowhere(valkey: ValkeyProcess) -> None:
    valkey.say("CONFIG SET requirepass right")
    url = valkey.url.replace("redis://", "redis://user:s3cret@") + "?health_check_interval=0"
    fast, books = fast_path(url, PATIENT), Books()
    with capture_logs() as logs:
        for number in range(3):
            await ask(fast, books, f"k-{number}")
    assert fast.state == "open"
    assert logs
    assert "s3cret" not in str(logs)
    await fast.close()


@pytest.mark.parametrize(
    "url",
    [
        "localhost:6379",
        "http://user:s3cret@localhost:6379",
        "redis://:s3cret@localhost:port/0",
        "redis://:s3cret@localhost:6379/0?socket_timeout=s3cret",
        "redis://[s3cret",
    ],
)
async def test_a_url_that_names_no_server(url: str) -> None:
    with pytest.raises(UnknownServer) as caught:
        fast_path(url)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://ann:s3cret@host:6379/1?password=s3cret", "redis://host:6379/1"),
        ("unix://ann:s3cret@/run/valkey.sock?db=1", "unix:///run/valkey.sock"),
        ("valkeys://host", "valkeys://host"),
        ("redis://ann:s3/cret@host", "redis://..."),
        ("redis://ann:s3#cret@host", "redis://..."),
        ("redis://host?password=s3@cret", "redis://..."),
    ],
)
def test_a_url_as_it_is_shown(url: str, shown: str) -> None:
    assert without_secrets(url) == shown


@pytest.mark.parametrize("url", ["redis://h", "rediss://h:1", "valkey://h", "valkeys://u:p@h/1", "unix:///run/v.sock"])
async def test_nothing_is_connected_before_it_is_used(url: str) -> None:
    await fast_path(url).close()
