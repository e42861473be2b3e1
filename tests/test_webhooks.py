"""Webhooks: what is posted to a real server, how it is signed, what is tried again, and what is kept back."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.each_store import ON_EACH_STORE, only_on

from sagakit import App, Module, ProcessParked, ProcessSettled, Retry, Saga
from sagakit.core.commit import Delivery
from sagakit.core.queries import DeliveryQuery
from sagakit.core.streams import instance_id
from sagakit.testing import engine
from sagakit.testing.manual import ManualEngine
from sagakit.webhooks import InvalidSignature, Webhook, verify

pytestmark = ON_EACH_STORE

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "another secret, long enough"
RETRY = Retry(3, first=1.0, factor=2.0, jitter=0.0)


@dataclass(frozen=True)
class Placed:
    id: str


@dataclass(frozen=True)
class Told:
    """An event of the app, for everybody."""

    id: str
    text: str


@dataclass(frozen=True)
class Request:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """A small HTTP server that answers as a test says."""

    port: int = 0
    requests: list[Request] = field(default_factory=list[Request])
    answers: list[str] = field(default_factory=list[str])
    hangs: bool = False

    def url(self, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}/hooks?token=hidden"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await self._read(reader):
                self.requests.append(request)
                if self.hangs:
                    await reader.read()
                    return
                status = self.answers.pop(0) if self.answers else "204 No Content"
                head, _, rest = status.partition("|")
                text = rest or ("" if head.startswith("2") else "not now, please")
                extra = "location: http://127.0.0.1:1/elsewhere\r\n" if head.startswith("3") else ""
                length = "" if head.startswith("204") else f"content-length: {len(text)}\r\n"
                writer.write(f"HTTP/1.1 {head}\r\n{extra}{length}\r\n{text}".encode())
                await writer.drain()
        except ConnectionError:
            pass  # who posted has gone
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> Request | None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.decode().strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers["content-length"]))
        return Request(first.split(" ")[1], headers, body)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()


def orders() -> Module:
    orders = Module("orders")

    @orders.saga(key="id")
    async def order(placed: Placed, saga: Saga) -> None:
        if placed.id == "bad":
            raise ValueError("a bug")

    return orders


def hook(receiver: Receiver, **options: Any) -> Webhook:
    return Webhook(receiver.url(), **{"secret": SECRET, "retry": RETRY} | options)


async def place(one: ManualEngine, id: str = "o-1") -> None:
    await one.publish(Placed(id))
    await one.settle()


async def parked(one: ManualEngine) -> list[Delivery]:
    return await one.store.find_deliveries(DeliveryQuery(state="parked"))


# ---------------------------------------------------------------------- what is posted


async def test_an_end_is_posted_signed() -> None:
    async with receiving() as receiver, engine(App("app", orders(), hook(receiver))) as one:
        await place(one)
        (request,) = receiver.requests
    assert request.path == "/hooks?token=hidden"
    told = verify(SECRET, request.headers, request.body)
    assert told == request.told
    assert request.headers["content-type"] == "application/json"
    assert request.headers["idempotency-key"] == request.headers["webhook-id"] == told["id"]
    assert re.fullmatch(r"v1,[A-Za-z0-9+/]{43}=", request.headers["webhook-signature"])
    assert {name: told[name] for name in ("specversion", "type", "time")} == {
        "specversion": "1.0",
        "type": "sagakit.ProcessSettled",
        "time": "2026-01-01T00:00:00Z",
    }
    id = instance_id("orders.order", "o-1")
    assert told["data"] == {
        "process": "orders.order",
        "key": "o-1",
        "instance": id,
        "status": "completed",
        "cause": "",
        "reason": "",
    }
    assert SECRET not in str(request)


async def test_only_the_events_that_it_was_given() -> None:
    async with receiving() as receiver, engine(App("app", orders(), hook(receiver, events=ProcessParked))) as one:
        await place(one)
        assert receiver.requests == []
        await place(one, "bad")
        (request,) = receiver.requests
        assert request.told["type"] == "sagakit.ProcessParked"
        assert "a bug" in request.told["data"]["error"]


async def test_events_of_ones_own() -> None:
    shop = orders()

    @shop.publishes
    def told(event: Placed) -> Told:
        return Told(event.id, "grüße ☃")

    async with (
        receiving() as receiver,
        engine(App("app", shop, hook(receiver, events=(Told, ProcessSettled)))) as one,
    ):
        await place(one)
        data = {request.told["type"]: request.told["data"] for request in receiver.requests}
        for request in receiver.requests:
            verify(SECRET, request.headers, request.body)
    assert data["orders.Told"] == {"id": "o-1", "text": "grüße ☃"}
    assert set(data) == {"orders.Told", "sagakit.ProcessSettled"}


async def test_two_webhooks_in_one_app() -> None:
    async with receiving() as first, receiving() as second:
        two = hook(second, name="second", secret=[OTHER, SECRET])
        async with engine(App("app", orders(), hook(first), two)) as one:
            await place(one)
        (here,), (there,) = first.requests, second.requests
    verify(SECRET, here.headers, here.body)
    with pytest.raises(InvalidSignature, match="not made with this secret"):
        verify(OTHER, here.headers, here.body)
    for secret in (OTHER, SECRET):  # while one takes the place of the other
        verify(secret, there.headers, there.body)


# ---------------------------------------------------------------------- what is tried again


@pytest.mark.parametrize(
    "status", ["500 Oops", "503 Unavailable", "408 Timeout", "409 Conflict", "425 Early", "429 Slow"]
)
async def test_tried_again_under_the_same_id(status: str) -> None:
    async with receiving() as receiver, engine(App("app", orders(), hook(receiver))) as one:
        receiver.answers = [status]
        await place(one)
        assert len(receiver.requests) == 1
        await one.advance(seconds=1)
        await one.settle()
        assert await parked(one) == []
        first, second = receiver.requests
        assert first.headers["webhook-id"] == second.headers["webhook-id"]
        assert first.body == second.body


async def test_given_up_when_the_attempts_are_used_up() -> None:
    async with receiving() as receiver, engine(App("app", orders(), hook(receiver))) as one:
        receiver.answers = ["500 Oops"] * 3
        await place(one)
        for _ in range(2):
            await one.advance(seconds=2)
            await one.settle()
        (delivery,) = await parked(one)
        assert delivery.error == "WebhookFailed: the receiver answered 500 Oops: not now, please"
        assert len(receiver.requests) == 3


@pytest.mark.parametrize(
    "status", ["400 Bad", "401 Who", "404 Where", "410 Gone", "422 What", "302 There", "308 There"]
)
async def test_parked_at_once(status: str) -> None:
    async with receiving() as receiver, engine(App("app", orders(), hook(receiver))) as one:
        receiver.answers = [status]
        await place(one)
        (delivery,) = await parked(one)
        note = " (redirects are not followed)" if status.startswith("3") else ""
        assert delivery.error == f"WebhookRefused: the receiver answered {status}{note}: not now, please"
        assert len(receiver.requests) == 1
        assert "hidden" not in str(delivery.error)


async def test_nobody_listens() -> None:
    async with receiving() as receiver:
        pass
    async with engine(App("app", orders(), hook(receiver, retry=Retry(1)))) as one:
        await place(one)
        (delivery,) = await parked(one)
    assert str(delivery.error).startswith("WebhookFailed: ConnectError: ")


async def test_no_answer_in_time() -> None:
    async with (
        receiving() as receiver,
        engine(App("app", orders(), hook(receiver, retry=Retry(1), timeout=0.05))) as one,
    ):
        receiver.hangs = True
        await place(one)
        (delivery,) = await parked(one)
        assert delivery.error == "WebhookFailed: no answer within 0.05 s"


@only_on("memory", because="what is kept is cut before a store is asked")
async def test_a_long_answer_is_not_kept_whole() -> None:
    async with receiving() as receiver, engine(App("app", orders(), hook(receiver))) as one:
        receiver.answers = ["400 Bad|" + "x" * 100_000]
        await place(one)
        (delivery,) = await parked(one)
        assert delivery.error is not None
        assert len(delivery.error) < 300


async def test_a_webhook_that_fails_posts_nothing_of_that() -> None:
    async with receiving() as receiver, engine(App("app", orders(), hook(receiver))) as one:
        receiver.answers = ["400 Bad"] * 10
        await place(one)
        assert len(receiver.requests) == 1


# ---------------------------------------------------------------------- what is declared


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://example.com/hooks", "url: http to example.com: only https keeps what is sent from others' eyes"),
        ("http://127.0.0.1.example.com/", "only https"),
        ("http://10.0.0.1/", "only https"),
        ("ftp://example.com/", "give an absolute one"),
        ("example.com/hooks", "give an absolute one"),
        ("https://", "give an absolute one"),
        ("https://example.com:99999/", "url: Port out of range"),
        ("https://user:token@example.com/", "a user or a password in it"),
    ],
)
def test_urls_that_are_refused(url: str, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)) as raised:
        Webhook(url, secret=SECRET)
    assert "token" not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["https://example.com/", "http://localhost:1/", "http://127.8.8.8/", "http://[::1]:80/"]
)
def test_urls_that_are_taken(url: str) -> None:
    assert Webhook(url, secret=SECRET).name == "webhook"


@pytest.mark.parametrize(
    ("secret", "problem"),
    [
        ("", "secret: 0 bytes: give 16 at least"),
        ("tooshort-secret", "secret: 15 bytes: give 16 at least"),
        ("whsec_c2hvcnQ=", "secret: 5 bytes: give 16 at least"),
        ("whsec_no base64!", "secret: after 'whsec_' comes no base64"),
        ((), "secret: none is given"),
    ],
)
def test_secrets_that_are_refused(secret: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)) as raised:
        Webhook("https://example.com/", secret=secret)
    assert not secret or str(secret) not in str(raised.value)


def test_what_else_is_refused() -> None:
    with pytest.raises(ValueError, match="name the events that are posted"):
        Webhook("https://example.com/", secret=SECRET, events=())
    with pytest.raises(ValueError, match="give seconds above 0"):
        Webhook("https://example.com/", secret=SECRET, timeout=0)


def test_the_secret_is_not_shown() -> None:
    webhook = Webhook("https://example.com/", secret=SECRET)
    assert repr(webhook) == "<webhook webhook>"
    assert SECRET not in f"{webhook} {vars(webhook)} {webhook.declared}"


async def test_the_secret_is_not_logged(capfd: pytest.CaptureFixture[str]) -> None:
    async with receiving() as receiver, engine(App("app", orders(), hook(receiver, retry=Retry(1)))) as one:
        receiver.answers = ["500 Oops"]
        await place(one)
        assert len(await parked(one)) == 1
    said = capfd.readouterr()
    assert "500 Oops" in said.out + said.err
    assert SECRET.removeprefix("whsec_") not in said.out + said.err
    assert "hidden" not in said.out + said.err


# ---------------------------------------------------------------------- who receives

ID, AT, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
HEADERS = {
    "Webhook-Id": ID,
    "Webhook-Timestamp": str(AT),
    # the example of the Standard Webhooks libraries
    "Webhook-Signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}


def test_a_signature_of_another_library() -> None:
    assert verify(SECRET, HEADERS, BODY, now=AT + 299) == {"test": 2432232314}
    assert verify([OTHER, SECRET], HEADERS, BODY.decode(), now=AT - 299) == {"test": 2432232314}
    several = HEADERS | {"Webhook-Signature": f"v2,x v1,Zm9v v1a,y {HEADERS['Webhook-Signature']}"}
    assert verify(SECRET, several, BODY, now=AT) == {"test": 2432232314}


@pytest.mark.parametrize(
    ("headers", "body", "now", "problem"),
    [
        ({"Webhook-Id": "other"}, BODY, AT, "not made with this secret"),
        ({"Webhook-Id": ""}, BODY, AT, "no header webhook-id"),
        ({"Webhook-Timestamp": str(AT + 1)}, BODY, AT, "not made with this secret"),
        ({"Webhook-Timestamp": "soon"}, BODY, AT, "no number of seconds"),
        ({"Webhook-Timestamp": "9" * 20}, BODY, AT, "no number of seconds"),
        ({"Webhook-Signature": "v1,grüße"}, BODY, AT, "not made with this secret"),
        ({"Webhook-Signature": HEADERS["Webhook-Signature"].replace("v1,", "v2,")}, BODY, AT, "not made with"),
        ({"Webhook-Signature": "v1,"}, BODY, AT, "not made with this secret"),
        ({}, BODY + b" ", AT, "not made with this secret"),
        ({}, BODY, AT + 301, "301 s from now, at most 300"),
        ({}, BODY, AT - 301, "301 s from now, at most 300"),
    ],
)
def test_what_a_receiver_does_not_take(headers: dict[str, str], body: bytes, now: int, problem: str) -> None:
    with pytest.raises(InvalidSignature, match=problem):
        verify(SECRET, HEADERS | headers, body, now=now)


def test_what_a_receiver_does_not_take_without_headers() -> None:
    with pytest.raises(InvalidSignature, match="no header webhook-id"):
        verify(SECRET, {}, BODY)
