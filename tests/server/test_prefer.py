"""`Prefer: wait=N`, as RFC 7240 has it; and a client that has gone is waited for no longer."""

import asyncio
from typing import Any

import pytest
from litestar import Request
from litestar.testing import RequestFactory

from sagakit.server.prefer import LONGEST_WAIT, applied, preferred_wait, while_connected


def asking(*values: str) -> Request[Any, Any, Any]:
    request = RequestFactory().get("/")
    request.scope["headers"] = [(b"prefer", value.encode("latin-1")) for value in values]
    return request


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("wait=5", 5),
        ("wait=0", 0),
        ("wait=007", 7),
        ("WAIT = 5", 5),
        ('wait="5"', 5),
        ("respond-async, wait=5", 5),
        ("respond-async,wait=5;foo=bar", 5),
        ('a="x, wait=1", wait=5', 5),
        ('a="\\", wait=1", wait=5', 5),
        ("wait=5, wait=9", 5),
        (f"wait={LONGEST_WAIT}", LONGEST_WAIT),
        (f"wait={LONGEST_WAIT + 1}", LONGEST_WAIT),
        ("wait=" + "9" * 5000, LONGEST_WAIT),
        (", ,wait=5,", 5),
    ],
)
def test_seconds_to_wait(value: str, seconds: int) -> None:
    assert preferred_wait(asking(value)) == seconds


MALFORMED = ["", "wait", "wait=", "wait=-1", "wait=1.5", "wait=x", "wait=+5", "wait=5s", "wait=\xb2", "wait=5 6"]
OTHERS = ["waiting=5", "x=wait=5", "wait=x, wait=5", '"wait=5"', ";wait=5", '"', '"wait=5', 'x="wait=5', 'x=", wait=5']


@pytest.mark.parametrize("value", MALFORMED + OTHERS)
def test_what_is_malformed_is_ignored(value: str) -> None:
    assert preferred_wait(asking(value)) is None


def test_several_headers_are_one() -> None:
    assert preferred_wait(asking("respond-async", "wait=5")) == 5
    assert preferred_wait(asking("wait=6", "wait=5")) == 6
    assert preferred_wait(asking()) is None


def test_what_is_honoured_is_said() -> None:
    assert applied(None) == {}
    assert applied(0) == {"Preference-Applied": "wait=0"}


class Client:
    """Sends its request, and goes when it is told to."""

    def __init__(self) -> None:
        self.goes = asyncio.Event()
        self.sent = False

    async def receive(self) -> dict[str, Any]:
        if not self.sent:
            self.sent = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.goes.wait()
        return {"type": "http.disconnect"}

    @property
    def request(self) -> Request[Any, Any, Any]:
        request = asking()
        request.receive = self.receive  # type: ignore[assignment]
        return request


async def test_a_client_that_has_gone_is_waited_for_no_longer() -> None:
    client, ended = Client(), asyncio.Event()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    waiting = asyncio.create_task(while_connected(client.request, forever()))
    await asyncio.sleep(0)
    assert not ended.is_set()
    client.goes.set()
    await asyncio.wait_for(waiting, 60)
    assert ended.is_set()


async def test_a_client_that_stays_has_its_answer_and_its_error() -> None:
    done: list[int] = []

    async def do() -> None:
        done.append(1)

    async def fail() -> None:
        raise ValueError("no")

    await while_connected(Client().request, do())
    assert done == [1]
    with pytest.raises(ValueError, match="no"):
        await while_connected(Client().request, fail())


async def test_who_is_cancelled_leaves_nothing_behind() -> None:
    ended = asyncio.Event()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    waiting = asyncio.create_task(while_connected(Client().request, forever()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended.is_set()
