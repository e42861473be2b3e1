"""Commands over HTTP: what `sagakit run` serves."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, Self

import httpx
import pytest
from tests.each_store import ON_EACH_STORE, new_url, only_on

from sagakit import App, Engine
from sagakit.server.api import api

pytestmark = ON_EACH_STORE

app = App("bank")


@dataclass(frozen=True)
class Deposit:
    account_id: str
    amount: int


@dataclass(frozen=True)
class Deposited:
    account_id: str
    amount: int


@app.aggregate(key="account_id")
@dataclass(frozen=True)
class Account:
    balance: int = 0

    def decide(self, command: Deposit) -> Deposited:
        return Deposited(command.account_id, command.amount)

    def evolve(self, event: Deposited) -> Self:
        return replace(self, balance=self.balance + event.amount)


DEPOSIT = {"account_id": "a-1", "amount": 5}


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    async with app.engine(new_url()) as engine:
        yield engine


@pytest.fixture
async def client(engine: Engine) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api(engine)), base_url="http://bank") as client:
        yield client


async def send(client: httpx.AsyncClient, name: str = "bank.Deposit", json: Any = DEPOSIT, **headers: str) -> Any:
    return await client.post(
        f"/api/v1/commands/{name}", json=json, headers={n.replace("_", "-"): v for n, v in headers.items()}
    )


async def balance(engine: Engine) -> int:
    await engine.send_and_wait(Deposit("a-1", 0), until=Deposited)
    return (await engine.load(Account, "a-1")).state.balance


async def test_a_command_is_accepted(client: httpx.AsyncClient, engine: Engine) -> None:
    answer = await send(client)
    assert answer.status_code == 202
    assert set(answer.json()) == {"message_id", "correlation_id", "outcome"}
    assert await balance(engine) == 5


async def test_a_key_makes_it_one(client: httpx.AsyncClient, engine: Engine) -> None:
    first = await send(client, idempotency_key='"k-1"')
    again = await send(client, x_idempotency_key="k-1")
    assert (again.status_code, again.content) == (202, first.content)
    assert await balance(engine) == 5
    other = await send(client, json=DEPOSIT | {"amount": 6}, idempotency_key="k-1")
    assert (other.status_code, other.json()["error"]) == (422, "idempotency_key_reused")


async def test_an_etag_is_a_condition(client: httpx.AsyncClient, engine: Engine) -> None:
    assert (await send(client, if_match='"0"')).status_code == 202
    assert await balance(engine) == 5
    stale = await send(client, if_match='"0"')
    assert (stale.status_code, stale.json()["error"]) == (412, "stale_version")
    assert (await send(client, if_match='"2"')).status_code == 202
    assert (await send(client, if_match="*")).status_code == 202


@only_on("memory", because="it is refused before a store is asked")
@pytest.mark.parametrize("etag", ["x", '"-1"', '"1.5"', '""', "9" * 40, '"²"'.encode().decode("latin-1")])
async def test_a_condition_that_is_none(client: httpx.AsyncClient, etag: str) -> None:
    headers = [(b"if-match", etag.encode("latin-1")), (b"content-type", b"application/json")]
    answer = await client.post("/api/v1/commands/bank.Deposit", content=b"{}", headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 400


@only_on("memory", because="it is refused before a store is asked")
@pytest.mark.parametrize(
    "name", ["bank.Withdraw", "bank.Deposited", "Deposit", "sagakit.CancelRequested", "x" * 300, "%F0%9F%A6%8A"]
)
async def test_what_is_no_command(client: httpx.AsyncClient, name: str) -> None:
    answer = await send(client, name)
    assert (answer.status_code, answer.json()["error"]) == (404, "unknown_message")


@only_on("memory", because="it is refused before a store is asked")
@pytest.mark.parametrize(
    "content",
    [b"", b"nope", b"null", b"[]", b"{}", b'{"account_id": 1, "amount": 5}', b"\xff", b"[" * 50_000, b"1e400"],
)
async def test_what_does_not_fit(client: httpx.AsyncClient, content: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await client.post("/api/v1/commands/bank.Deposit", content=content, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_message")


@only_on("memory", because="it is refused before a store is asked")
async def test_the_field_that_does_not_fit_is_named(client: httpx.AsyncClient) -> None:
    answer = await send(client, json=DEPOSIT | {"amount": "five"})
    assert "amount" in answer.json()["detail"]


@only_on("memory", because="it is refused before a store is asked")
async def test_what_a_web_page_may_send_unasked_is_refused(client: httpx.AsyncClient) -> None:
    for sent in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        headers = {"Content-Type": sent}
        answer = await client.post("/api/v1/commands/bank.Deposit", content=b"{}", headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert (await client.post("/api/v1/commands/bank.Deposit", content=b"{}")).status_code == 400


@only_on("memory", because="it is refused before a store is asked")
async def test_what_is_too_large(client: httpx.AsyncClient) -> None:
    answer = await send(client, json=DEPOSIT | {"account_id": "x" * (1 << 20)})
    assert (answer.status_code, answer.json()["error"]) == (413, "payload_too_large")
    answer = await send(client, json=DEPOSIT | {"account_id": "x" * (1 << 22)})
    assert (answer.status_code, answer.json()["error"]) == (413, "payload_too_large")


@only_on("memory", because="it is refused before a store is asked")
async def test_other_methods_and_paths(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/v1/commands/bank.Deposit")).status_code == 405
    assert (await client.post("/api/v1/commands")).status_code == 404


async def test_health(client: httpx.AsyncClient, engine: Engine) -> None:
    assert (await client.get("/health/live")).json() == {"status": "live"}
    assert (await client.get("/health/ready")).json() == {"status": "ready"}
    await engine.stop()
    assert (await client.get("/health/live")).status_code == 200
    answer = await client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json() == {"status": "not_ready", "reason": "the engine is being stopped"}


async def test_a_client_may_wait_for_what_a_command_leads_to(client: httpx.AsyncClient) -> None:
    answer = await send(client, prefer="wait=10")
    assert (answer.status_code, answer.headers["preference-applied"]) == (200, "wait=10")
    assert answer.json()["outcome"] == {"message": "bank.Deposited", "payload": DEPOSIT}
    assert answer.headers["location"] == f"/api/v1/stories/{answer.json()['correlation_id']}"


async def test_a_command_for_later_is_accepted_now(client: httpx.AsyncClient, engine: Engine) -> None:
    url = "/api/v1/commands/bank.Deposit"
    for when in ({"after": "3600"}, {"at": "2099-01-01T00:00:00Z"}):
        answer = await client.post(url, json=DEPOSIT, params=when, headers={"Prefer": "wait=10"})
        assert (answer.status_code, answer.json()["outcome"]) == (202, None)
    assert len(await engine.store.read_scheduled()) == 2


@only_on("memory", because="it is refused before a store is asked")
@pytest.mark.parametrize(
    ("when", "detail"),
    [
        ({"after": "-1"}, "after"),
        ({"at": "tomorrow"}, "at: 'tomorrow'"),
        ({"at": "2099-01-01T00:00:00"}, "at: '2099-01-01T00:00:00'"),
        ({"at": "2099-01-01T00:00:00Z", "after": "1"}, "after and at: choose one"),
    ],
)
async def test_a_time_that_is_none_is_named(client: httpx.AsyncClient, when: dict[str, str], detail: str) -> None:
    answer = await client.post("/api/v1/commands/bank.Deposit", json=DEPOSIT, params=when)
    assert answer.status_code == 400
    assert detail in answer.json()["detail"]
