"""A process here, a participant in Python behind HTTP: the whole way, over a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import uvicorn
from tests.each_store import ON_EACH_STORE, only_on
from tests.engine.stage import PATIENCE

from sagakit import App, OutcomeUnknown, Refused, Retry, Saga, TerminalError, wire
from sagakit.participant import InMemory, Participant, asgi
from sagakit.testing.manual import engine
from sagakit.transports.http import HttpService, remote

pytestmark = ON_EACH_STORE


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
    """The participant."""


@dataclass
class Bank:
    charged: list[str] = field(default_factory=list[str])
    refunded: list[str] = field(default_factory=list[str])
    undoes: list[str | None] = field(default_factory=list[str | None])
    raises: list[Exception] = field(default_factory=list[Exception])
    answers: list[Any] = field(default_factory=list[Any])


def billing(bank: Bank) -> Participant:
    participant = Participant("t", memory=InMemory(), provide={Bank: bank})

    @participant.handles
    async def charge(command: Charge, bank: Bank) -> Charged | Declined:
        if bank.raises:
            raise bank.raises.pop(0)
        bank.charged.append(command.key)
        return bank.answers.pop(0) if bank.answers else Charged(command.key)

    @participant.handles
    async def refund(command: Refund, bank: Bank) -> Refunded:
        bank.refunded.append(command.key)
        return Refunded(command.key)

    return participant


@asynccontextmanager
async def served(participant: Participant) -> AsyncIterator[str]:
    config = uvicorn.Config(asgi(participant), host="127.0.0.1", port=0, lifespan="off", log_level="critical")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(PATIENCE):
        while not server.started:
            await asyncio.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


def shop(url: str) -> App:
    app = App("t")

    @app.provides
    async def service() -> AsyncGenerator[Billing]:
        async with Billing(url, networks=["127.0.0.0/8"]) as opened:
            yield opened

    app.handles(retry=Retry(1))(remote(of=Charge, service=Billing, outcomes=(Charged, Declined)))
    app.handles(retry=Retry(1))(remote(of=Refund, service=Billing, outcomes=(Refunded,)))

    @app.saga(key="key")
    async def paid(order: Order, saga: Saga) -> None:
        await saga.do(Charge(order.key), then=Charged, undo=Refund(order.key))

    return app


async def ended(bank: Bank) -> str:
    async with served(billing(bank)) as url, engine(shop(url)) as running:
        await running.publish(Order("1"))
        await running.settle()
        async with asyncio.timeout(PATIENCE):
            return (await running.wait("t.paid", "1")).status


async def test_done() -> None:
    bank = Bank()
    assert await ended(bank) == "completed"
    assert bank.charged == ["1"]


async def test_refused() -> None:
    bank = Bank(answers=[Declined("1", "no money")])
    assert await ended(bank) == "compensated"
    assert bank.refunded == []


@pytest.mark.parametrize(
    ("error", "refunded"), [(Refused("not today"), []), (TerminalError("broken"), ["1"]), (OSError("away"), ["1"])]
)
async def test_failed(error: Exception, refunded: list[str]) -> None:
    bank = Bank(raises=[error])
    assert await ended(bank) == "compensated"
    assert bank.refunded == refunded


@pytest.mark.parametrize(
    ("error", "told"),
    [(Refused("not today"), (Refused, "not today")), (TerminalError("broken"), (OutcomeUnknown, "broken"))],
)
async def test_who_waits_is_told_the_reason(error: Exception, told: tuple[type[Exception], str]) -> None:
    bank = Bank(raises=[error])
    async with served(billing(bank)) as url, engine(shop(url)) as running:
        kind, words = told
        with pytest.raises(kind, match=words):
            await running.send_and_wait(Charge("1"), until=Charged)


@wire("t.ChargeTwo", version=2)
@dataclass(frozen=True)
class ChargeTwo:
    key: str


async def test_a_command_goes_with_its_version() -> None:
    participant = Participant("t", memory=InMemory())

    @participant.handles
    async def charge(command: ChargeTwo) -> Charged:
        return Charged(command.key)

    async with participant, served(participant) as url:
        app = App("t")

        @app.provides
        async def service() -> AsyncGenerator[Billing]:
            async with Billing(url, networks=["127.0.0.0/8"]) as opened:
                yield opened

        app.handles(remote(of=ChargeTwo, service=Billing, outcomes=(Charged,)))
        async with engine(app) as running:
            assert await running.send_and_wait(ChargeTwo("1"), until=Charged) == Charged("1")


@only_on("memory", because="the participant remembers in memory, and no engine runs")
async def test_what_is_no_command() -> None:
    transport = httpx.ASGITransport(asgi(billing(Bank())))
    ids = {"x-message-id": "1", "x-message-type": "t.Charge"}
    async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
        assert (await client.get("/")).status_code == 405
        assert (await client.post("/", json={})).status_code == 400
        assert (await client.post("/", json={}, headers={**ids, "x-message-id": "x" * 300})).status_code == 400
        assert (await client.post("/", json={}, headers={**ids, "x-message-type": "t.No"})).status_code == 404
        assert (await client.post("/", json={}, headers={**ids, "x-message-type": "t.Charged"})).status_code == 400
        assert (await client.post("/", json={}, headers={**ids, "x-message-version": "0"})).status_code == 400
        assert (await client.post("/", json={}, headers={**ids, "x-message-version": "two"})).status_code == 400
        assert (await client.post("/", content=b" " * 3_000_000, headers=ids)).status_code == 413
        answer = await client.post("/", content=b"{}", headers=ids)
        assert (answer.status_code, answer.json()["known_not_done"]) == (200, True)


@only_on("memory", because="the participant remembers in memory, and no engine runs")
async def test_an_error_is_to_be_tried_again() -> None:
    transport = httpx.ASGITransport(asgi(billing(Bank(raises=[OSError("away")]))))
    ids = {"x-message-id": "1", "x-message-type": "t.Charge"}
    async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
        answer = await client.post("/", json={"key": "1"}, headers=ids)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "away" not in answer.text
        assert (await client.post("/", json={"key": "1"}, headers=ids)).status_code == 200
