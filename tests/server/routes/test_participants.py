"""Answers by callback: a service that says 202, and posts the outcome to the URL that it was given."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from tests.each_store import ON_EACH_STORE, new_url, only_on
from tests.engine.stage import PATIENCE, until
from tests.transports.http.server import Service, answered, serving

from sagakit import App, Engine, Saga
from sagakit.server.api import api
from sagakit.transports.http import Callbacks, HttpService, request

pytestmark = ON_EACH_STORE

SECRET = "a secret of some length"


@dataclass(frozen=True)
class Order:
    key: str


@dataclass(frozen=True)
class Charge:
    key: str


@dataclass(frozen=True)
class Charged:
    key: str


@dataclass(frozen=True)
class Declined:
    key: str
    reason: str


@dataclass(frozen=True)
class Refund:
    key: str


@dataclass(frozen=True)
class Refunded:
    key: str


class Billing(HttpService):
    """The service that takes the money, later."""


def shop(service: Service, *, callbacks: bool = True) -> App:
    app = App("t")

    @app.provides
    async def billing() -> AsyncGenerator[Billing]:
        async with Billing(service.url(), networks=["127.0.0.0/8"]) as opened:
            yield opened

    if callbacks:

        @app.provides
        def answers() -> Callbacks:
            return Callbacks("http://shop", secret=SECRET)

    charge = request(
        "POST",
        "/charges",
        of=Charge,
        service=Billing,
        then=Charged,
        outcomes=(Declined,),
        later=callbacks,
        body=(lambda command, url: {"key": command.key, "answer_to": url}) if callbacks else None,
    )
    app.handles(charge)
    app.handles(request("POST", "/refunds", of=Refund, service=Billing, then=Refunded))

    @app.saga(key="key")
    async def paid(order: Order, saga: Saga) -> None:
        await saga.do(Charge(order.key), then=Charged, undo=Refund(order.key))

    return app


@dataclass
class Shop:
    engine: Engine
    client: httpx.AsyncClient
    service: Service
    url: str = ""

    async def handed_over(self, trace: str | None = None) -> None:
        """An order whose charge the service has taken."""
        receipt = await self.engine.publish(Order("1"), trace=trace)
        async with asyncio.timeout(PATIENCE):
            async for update in self.engine.watch(correlation_id=receipt.correlation_id, after="1"):
                if update.state == "sagakit.HandedOver":
                    break
        sent = self.service.requests[0]
        self.url = sent.headers["callback-url"]
        assert sent.told["answer_to"] == self.url

    async def post(self, body: Any, url: str = "", **headers: str) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"content-type": "application/json", **{name.replace("_", "-"): one for name, one in headers.items()}}
        return await self.client.post(url or self.url, content=content, headers=sent)

    async def end(self) -> str:
        async with asyncio.timeout(PATIENCE):
            return (await self.engine.wait("t.paid", "1")).status


@asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[Shop]:
    async with serving() as service:
        service.answering = lambda sent: answered("202 Accepted" if "charges" in sent.path else "204 Done")
        async with shop(service, **options).engine(new_url()) as engine:
            transport = httpx.ASGITransport(api(engine))
            async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
                yield Shop(engine, client, service)


@pytest.fixture
async def running() -> AsyncIterator[Shop]:
    async with opened() as shop:
        yield shop


CHARGED = {"type": "t.Charged", "data": {"key": "1"}}


async def test_the_answer_that_is_posted_is_the_outcome(running: Shop) -> None:
    await running.handed_over()
    response = await running.post(CHARGED)
    assert (response.status_code, response.json()["repeated"]) == (200, False)
    assert await running.end() == "completed"


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (f"00-{TRACE}-00f067aa0ba902b7-01", f"00-{TRACE}-00f067aa0ba902b7-01"),
        (f"00-{TRACE[::-1]}-00f067aa0ba902b7-01", f"00-{TRACE}-1111111111111111-01"),  # a story stays in its trace
    ],
)
async def test_what_an_answer_leads_to_stands_below_its_request(running: Shop, sent: str, kept: str) -> None:
    await running.handed_over(trace=f"00-{TRACE}-1111111111111111-01")
    await running.post(CHARGED, traceparent=sent)
    await running.end()
    (charged,) = [one for one in await running.engine.store.read_messages() if one.type == "t.Charged"]
    assert charged.trace == kept


async def test_the_same_answer_again_is_the_same_and_another_one_is_late(running: Shop) -> None:
    await running.handed_over()
    await running.post(CHARGED, idempotency_key="1")
    again = await running.post(CHARGED, idempotency_key="1")
    other = await running.post({"type": "t.Declined", "data": {"key": "1", "reason": "x"}}, idempotency_key="1")
    late = await running.post({"type": "t.Declined", "data": {"key": "1", "reason": "x"}}, idempotency_key="2")
    assert (again.status_code, again.json()["repeated"]) == (200, True)
    assert (other.status_code, other.json()["error"]) == (422, "idempotency_key_reused")
    assert late.status_code == 200
    assert await running.end() == "completed"


async def test_a_refusal_a_failure_and_nothing(running: Shop) -> None:
    await running.handed_over()
    assert (await running.post({"failed": "broken", "known_not_done": True})).status_code == 200
    assert await running.end() == "compensated"
    assert len(running.service.requests) == 1


async def test_a_failure_after_which_it_may_have_been_done_is_undone(running: Shop) -> None:
    await running.handed_over()
    await running.post({"failed": "broken"})
    assert await running.end() == "compensated"
    assert [one.path for one in running.service.requests] == ["/charges", "/refunds"]


async def test_several_events_and_none(running: Shop) -> None:
    await running.handed_over()
    await running.post({"events": []})
    assert await running.end() == "compensated"
    assert len(running.service.requests) == 1


async def test_a_cloudevent(running: Shop) -> None:
    await running.handed_over()
    event = {"specversion": "1.0", "id": "e1", "source": "billing", **CHARGED}
    first = await running.post(event, content_type="application/cloudevents+json; charset=utf-8")
    again = await running.post(event, content_type="application/cloudevents+json")
    assert (first.status_code, again.json()["repeated"]) == (200, True)
    assert await running.end() == "completed"


async def test_nobody_answers_who_was_not_asked(running: Shop) -> None:
    await running.handed_over()
    parts = urlsplit(running.url)
    for url in (
        parts.path,
        f"{parts.path}?story=x&token=y",
        running.url[:-3],
        running.url + "A",
        running.url.replace("/commands/", "/commands/0"),
    ):
        response = await running.post(CHARGED, url)
        assert (response.status_code, response.json()["error"]) == (401, "unauthorized"), url
    assert await running.engine.status("t.paid", "1") == "running"


@only_on("memory", because="it is refused before a store is asked")
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{}", 400),
        (b'{"typ": "t.Charged"}', 400),
        (b'{"type": "t.Charged", "failed": "x"}', 400),
        (b'{"type": 3}', 400),
        (b'{"type": "t.Nothing"}', 404),
        (b'{"type": "t.Charged", "data": {"key": 3}}', 400),
    ],
)
async def test_what_is_no_answer_changes_nothing(running: Shop, body: bytes, status: int) -> None:
    await running.handed_over()
    assert (await running.post(body)).status_code == status
    assert (await running.post(CHARGED, content_type="text/plain")).status_code == 400
    assert await running.engine.status("t.paid", "1") == "running"


async def test_without_callbacks_the_door_is_closed() -> None:
    async with opened(callbacks=False) as running:
        response = await running.post(CHARGED, "/api/v1/commands/c/answer?story=s&token=t")
        assert response.status_code == 404
        # 202 is a success like any other then
        receipt = await running.engine.publish(Order("1"))
        await running.engine.wait(until=Charged, correlation_id=receipt.correlation_id)  # the process has begun
        assert await running.end() == "completed"


async def test_an_answer_that_comes_before_the_request_has_returned(running: Shop) -> None:
    posted: list[asyncio.Task[httpx.Response]] = []

    def quick(sent: Any) -> str:
        posted.append(asyncio.ensure_future(running.post(CHARGED, sent.headers["callback-url"])))
        return "HTTP/1.1 202 Accepted\r\n"  # and the rest never comes

    running.service.answering = quick
    await running.engine.publish(Order("1"))
    await until(lambda: posted)
    assert (await posted[0]).status_code == 200
    assert await running.end() == "completed"
