"""A step's command as a request to a real server: what is sent, and what its answers lead to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.each_store import ON_EACH_STORE
from tests.engine.stage import PATIENCE, until
from tests.transports.http.server import Service, serving

from sagakit import App, DeclarationError, Refused, Retry, Saga, stable_id
from sagakit.core.commit import Envelope
from sagakit.core.queries import DeliveryQuery
from sagakit.testing.manual import ManualEngine, engine
from sagakit.transports.http import Answer, HttpService, request

pytestmark = ON_EACH_STORE

LOOPBACK = ("127.0.0.0/8",)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
RETRY = Retry(4, first=1.0, factor=1.0, jitter=0.0)


@dataclass(frozen=True)
class Order:
    order_id: str


@dataclass(frozen=True)
class Charge:
    order_id: str
    amount: int = 5


@dataclass(frozen=True)
class Charged:
    order_id: str
    charge_id: str = ""


@dataclass(frozen=True)
class Declined:
    order_id: str
    reason: str


@dataclass(frozen=True)
class Refund:
    order_id: str


@dataclass(frozen=True)
class Refunded:
    order_id: str


class Billing(HttpService):
    """The service that takes the money."""


def shop(service: Service, charge: Any = None, refund: Any = None, **options: Any) -> App:
    app = App("t")
    options.setdefault("networks", LOOPBACK)

    @app.provides
    async def billing() -> AsyncGenerator[Billing]:
        async with Billing(service.url() + "/v1", headers={"authorization": "Bearer s3cret"}, **options) as opened:
            yield opened

    app.handles(retry=RETRY, timeout=60)(charge or charging())
    app.handles(retry=RETRY)(
        refund or request("DELETE", "/charges/{order_id}", of=Refund, service=Billing, then=Refunded)
    )

    @app.saga(key="order_id")
    async def paid(order: Order, saga: Saga) -> None:
        await saga.do(Charge(order.order_id), then=Charged, undo=Refund(order.order_id))

    return app


def charging(**more: Any) -> Any:
    options: dict[str, Any] = {"then": Charged, "refusals": {402: Declined}, **more}
    return request("POST", "/charges", of=Charge, service=Billing, **options)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with serving() as served:
        yield served


async def ran(running: ManualEngine, key: str = "1") -> str:
    await running.publish(Order(key), trace=TRACE)
    await running.settle()
    async with asyncio.timeout(PATIENCE):
        return (await running.wait("t.paid", key)).status


def is_retrying(running: ManualEngine) -> bool:
    return any(one.state == "retrying" for one in running._lanes.deliveries())


async def log(running: ManualEngine) -> list[Envelope]:
    return await running.store.read_messages()


async def outcome(running: ManualEngine) -> Any:
    """The first event that the charge has led to."""
    messages = await log(running)
    charge = next(one for one in messages if one.type == "t.Charge")
    found = next(one for one in messages if one.causation_id == charge.id)
    return running.topology.codecs.decode(found.type, found.version, found.payload)


# ---------------------------------------------------------------------- what is sent


async def test_the_command_goes_out_with_its_ids_and_the_answer_is_its_outcome(service: Service) -> None:
    service.will("201 Created", {"charge_id": "ch_1"})
    async with engine(shop(service)) as running:
        assert await ran(running) == "completed"
        order, charge, charged = await log(running)
        assert await outcome(running) == Charged("1", "ch_1")
    (sent,) = service.requests
    assert (sent.method, sent.path, sent.told) == ("POST", "/v1/charges", {"order_id": "1", "amount": 5})
    assert {
        "content-type": "application/json",
        "authorization": "Bearer s3cret",
        "idempotency-key": stable_id(charge.id, "POST /charges"),
        "x-message-id": charge.id,
        "x-message-type": "t.Charge",
        "x-correlation-id": order.id,
        "x-causation-id": order.id,
        "traceparent": TRACE,
    }.items() <= sent.headers.items()
    assert charged.causation_id == charge.id


async def test_an_undo_says_what_it_undoes(service: Service) -> None:
    service.will("500 Oh", "broken")
    app = shop(service, request("POST", "/charges", of=Charge, service=Billing, then=Charged, retryable=()))
    app.declared.handlers[0] = type(app.declared.handlers[0])(
        "charge", app.declared.handlers[0].function, None, (Retry(1),), None
    )
    async with engine(app) as running:
        assert await ran(running) == "compensated"
        charge = next(one for one in await log(running) if one.type == "t.Charge")
    _, undo = service.requests
    assert (undo.method, undo.path, undo.body) == ("DELETE", "/v1/charges/1", b"")
    assert undo.headers["x-undoes"] == charge.id


async def test_two_attempts_carry_one_key_and_two_requests_of_one_handling_two(service: Service) -> None:
    service.will("503 Busy")
    async with engine(shop(service)) as running:
        await running.publish(Order("1"))
        await until(lambda: is_retrying(running))
        await running.advance(seconds=1.5)
        await until(lambda: len(service.requests) == 2)
    first, second = service.requests
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


async def test_path_body_and_headers_by_functions(service: Service) -> None:
    handler = request(
        "PUT",
        lambda command: f"/orders/{command.order_id}/charge",
        of=Charge,
        service=Billing,
        then=Charged,
        body=lambda command: {"cents": command.amount * 100},
        headers=lambda command: {"x-order": command.order_id},
    )
    async with engine(shop(service, handler)) as running:
        assert await ran(running) == "completed"
    (sent,) = service.requests
    assert (sent.method, sent.path, sent.told) == ("PUT", "/v1/orders/1/charge", {"cents": 500})
    assert sent.headers["x-order"] == "1"


async def test_a_body_is_written_alike_at_every_attempt(service: Service) -> None:
    handler = request(
        "POST", "/charges", of=Charge, service=Billing, then=Charged, body=lambda _: {"seats": {8, 0}, "a": {1: 2}}
    )
    sets = request(
        "DELETE",
        "/charges/{order_id}",
        of=Refund,
        service=Billing,
        then=Refunded,
        body=lambda _: {"seats": {8, 0}},
    )
    service.will("403 Forbidden", "no")
    async with engine(shop(service, handler, sets)) as running:
        assert await ran(running) == "compensated"
    charge, refund = service.requests
    assert charge.told["a"] == {"1": 2}  # what has no order is sent all the same
    assert refund.body == b'{"seats":[0,8]}'  # a set that was made in another order has another one


@pytest.mark.parametrize(("key", "path"), [("a/b?c", "/v1/charges/a%2Fb%3Fc"), ("ä", "/v1/charges/%C3%A4")])
async def test_a_field_is_one_part_of_the_path(service: Service, key: str, path: str) -> None:
    handler = request("POST", "/charges/{order_id}", of=Charge, service=Billing, then=Charged)
    async with engine(shop(service, handler)) as running:
        assert await ran(running, key) == "completed"
    assert service.requests[0].path == path


async def test_a_field_leads_nowhere_else(service: Service) -> None:
    handler = request("POST", "/charges/{order_id}", of=Charge, service=Billing, then=Charged)
    refund = request("POST", "/refunds", of=Refund, service=Billing, then=Refunded)
    async with engine(shop(service, handler, refund)) as running:
        assert await ran(running, "..") == "compensated"
    assert [one.path for one in service.requests] == ["/v1/refunds"]


# ---------------------------------------------------------------------- what answers lead to


async def test_a_declared_refusal(service: Service) -> None:
    service.will("402 Payment Required", {"title": "no", "detail": "no money"})
    async with engine(shop(service)) as running:
        assert await ran(running) == "compensated"
        assert await outcome(running) == Declined("1", "no money")
    assert len(service.requests) == 1


async def test_an_answer_that_is_not_declared_is_unknown_and_undone(service: Service) -> None:
    service.will("403 Forbidden", "who are you")
    async with engine(shop(service)) as running:
        assert await ran(running) == "compensated"
        assert "the service answered 403: who are you" in (await outcome(running)).reason
    assert [one.method for one in service.requests] == ["POST", "DELETE"]


@pytest.mark.parametrize("status", ["408 Timeout", "425 Early", "429 Many", "500 Oh", "503 Busy"])
async def test_what_passes_is_tried_again(service: Service, status: str) -> None:
    service.will(status)
    service.will("200 OK", {})
    async with engine(shop(service)) as running:
        await running.publish(Order("1"))
        await until(lambda: is_retrying(running))
        await running.advance(seconds=1.0)
        await until(lambda: len(service.requests) == 2)
        assert await ran(running) == "completed"


async def test_not_before_the_service_wants_to_be_asked(service: Service) -> None:
    service.will("429 Many", retry_after="30")
    async with engine(shop(service)) as running:
        await running.publish(Order("1"))
        await until(lambda: is_retrying(running))
        await running.advance(seconds=29)
        assert len(service.requests) == 1
        await running.advance(seconds=1)
        await until(lambda: len(service.requests) == 2)


async def test_a_service_that_is_away_is_tried_again(service: Service) -> None:
    port = service.port
    service.port = 1  # nobody listens there
    async with engine(shop(service)) as running:
        await running.publish(Order("1"))
        await until(lambda: is_retrying(running))
        (waits,) = await running.store.find_deliveries(DeliveryQuery(state="retrying"))
        assert "ConnectError" in str(waits.error)
    service.port = port


async def test_one_that_hangs_is_given_its_time(service: Service) -> None:
    service.hangs = True
    async with engine(shop(service)) as running:
        await running.publish(Order("1"))
        await until(lambda: service.requests)
        await running.advance(seconds=60)
        (waits,) = await running.store.find_deliveries(DeliveryQuery())
        assert waits.state == "retrying"
        assert "no answer within 60 s" in str(waits.error)


async def test_the_users_own_mapping(service: Service) -> None:
    def judged(answer: Answer, command: Charge) -> Charged | Declined | None:
        if answer.status == 200 and answer.json()["state"] == "declined":
            return Declined(command.order_id, answer.headers["x-why"])
        return None

    service.will("200 OK", {"state": "declined"}, x_why="limit")
    handler = request("POST", "/charges", of=Charge, service=Billing, then=Charged, outcome=judged)
    async with engine(shop(service, handler)) as running:
        assert await ran(running) == "compensated"
        assert await outcome(running) == Declined("1", "limit")


@pytest.mark.parametrize("body", ["no json", '{"charge_id": 7}', "[]"])
async def test_a_success_that_cannot_be_read_is_unknown(service: Service, body: str) -> None:
    service.will("200 OK", body)
    async with engine(shop(service)) as running:
        assert await ran(running) == "compensated"
        assert "which makes no Charged" in (await outcome(running)).reason
    assert len(service.requests) == 2


async def test_an_answer_without_end_is_not_read(service: Service) -> None:
    service.will("200 OK", {"charge_id": "x" * 10_000})
    async with engine(shop(service, most=1_000)) as running:
        assert await ran(running) == "compensated"
        assert "over 1000 bytes" in (await outcome(running)).reason


# ---------------------------------------------------------------------- redirects


async def test_redirects_are_not_followed(service: Service) -> None:
    service.will("307 Elsewhere", location="/v1/other")
    async with engine(shop(service)) as running:
        assert await ran(running) == "compensated"
    assert [one.path for one in service.requests] == ["/v1/charges", "/v1/charges/1"]


async def test_declared_redirects_keep_the_request(service: Service) -> None:
    service.will("308 Elsewhere", location="/v2/charges")
    service.will("200 OK", {})
    async with engine(shop(service, redirects=1)) as running:
        assert await ran(running) == "completed"
    first, second = service.requests
    assert (second.path, second.told) == ("/v2/charges", first.told)
    assert second.headers["idempotency-key"] == first.headers["idempotency-key"]


async def test_one_that_would_ask_for_something_else_is_not_followed(service: Service) -> None:
    service.will("302 Elsewhere", location="/v2/charges")
    async with engine(shop(service, redirects=1)) as running:
        assert await ran(running) == "compensated"


async def test_credentials_are_not_sent_to_another_host(service: Service) -> None:
    async with serving() as other:
        service.will("307 Elsewhere", location=f"{other.url()}/charges")
        other.will("200 OK", {})
        async with engine(shop(service, redirects=1, hosts=[f"127.0.0.1:{other.port}"])) as running:
            assert await ran(running) == "completed"
        assert "authorization" not in other.requests[0].headers


async def test_a_redirect_leads_to_declared_hosts_alone(service: Service) -> None:
    service.will("307 Elsewhere", location="http://localhost:9/charges")
    async with engine(shop(service, redirects=1)) as running:
        assert await ran(running) == "compensated"
        assert "localhost:9 is no declared host" in (await outcome(running)).reason


# ---------------------------------------------------------------------- declared wrongly


def test_what_is_wrong_with_a_declaration() -> None:
    with pytest.raises(TypeError, match="a path begins with /"):
        request("POST", "charges", of=Charge, service=Billing, then=Charged)
    with pytest.raises(TypeError, match="Charge has no field id"):
        request("POST", "/charges/{id}", of=Charge, service=Billing, then=Charged)
    with pytest.raises(TypeError, match="name what it leads to"):
        request("POST", "/charges", of=Charge, service=Billing)


def test_nobody_provides_the_service() -> None:
    app = App("t")
    app.handles(charging())
    with pytest.raises(DeclarationError, match="Billing"):
        app.check()


@pytest.mark.parametrize(
    "url",
    ["billing.example.com", "ftp://a", "https://u:p@a", "https://a?b=c", "http://billing.example.com", "https://a:0"],
)
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(ValueError, match="url: "):
        Billing(url)


async def test_a_test_gives_a_service_of_its_own(service: Service) -> None:
    class Fake(Billing):
        async def send(self, method: str, path: str, **more: Any) -> Answer:
            return Answer(402, {}, b"")

    async with engine(shop(service), provide={Billing: Fake("https://nowhere.example")}) as running:
        with pytest.raises(Refused):
            await running.send_and_wait(Charge("1"), until=Charged)
