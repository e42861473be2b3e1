"""The order gateway's contract, over HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from unittest import mock

import httpx
import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.each_store import ON_EACH_STORE, new_store, new_url, only_on
from tests.engine.stage import until

from sagakit import ONE, Engine
from sagakit.core.queries import InstanceQuery
from sagakit.demos.shop.app import shop, shop_app
from sagakit.demos.shop.gateway import gateway, shop_server
from sagakit.demos.shop.inventory.stock import AT_THE_START, Stock
from sagakit.demos.shop.orders.fulfilment import fulfil_order
from sagakit.demos.shop.payments.cards import Cards
from sagakit.engine.limits import Limits
from sagakit.errors import Busy, CommitLost, Stopping, StoreFailed, WaitTimeout
from sagakit.testing.manual import ManualEngine
from sagakit.testing.manual import engine as manual_engine

pytestmark = ON_EACH_STORE


def body(price: str = "50.00", quantity: str = "1", product: str = "prod_1", customer: str = "ann") -> str:
    item = f'{{"product_id": "{product}", "quantity": {quantity}, "price": {price}}}'
    return f'{{"customer_id": "{customer}", "items": [{item}]}}'


async def post(client: httpx.AsyncClient, content: str | bytes = body(), key: str | None = None) -> httpx.Response:
    headers = {"Content-Type": "application/json"} | ({"X-Idempotency-Key": key} if key is not None else {})
    return await client.post("/orders", content=content, headers=headers)


async def settled(client: httpx.AsyncClient, order_id: str) -> httpx.Response:
    """The answer about an order once it is no longer PENDING."""
    answer = await client.get(f"/orders/{order_id}", headers={"Prefer": "wait=60"})
    assert answer.json()["status"] != "PENDING"
    return answer


# ---------------------------------------------------------------- placing


async def test_an_order_is_pending_at_once(client: httpx.AsyncClient) -> None:
    answer = await post(client, key="k-1")
    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/json"
    placed = answer.json()
    assert list(placed) == ["id", "customer_id", "status", "total", "items", "created_at", "updated_at"]
    assert answer.headers["location"] == f"/orders/{placed['id']}"
    assert placed["customer_id"] == "ann"
    assert placed["status"] == "PENDING"
    assert placed["items"] == [{"product_id": "prod_1", "quantity": 1, "price": 50.0}]
    assert placed["created_at"] == placed["updated_at"]
    assert placed["created_at"].endswith("Z")


async def test_an_order_is_confirmed(client: httpx.AsyncClient, engine: Engine) -> None:
    placed = (await post(client, body(quantity="2"))).json()
    answer = await settled(client, placed["id"])
    assert answer.status_code == 200
    assert answer.json() == placed | {"status": "CONFIRMED", "updated_at": answer.json()["updated_at"]}
    assert answer.json()["updated_at"] > placed["updated_at"]
    assert (await engine.load(Stock, ONE)).state.free == AT_THE_START | {"prod_1": 13}


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (body("600.00"), "payment declined: 600.00 is above the limit of 500.00"),
        (body(product="prod_3"), "prod_3 is out of stock: 1 wanted, none left"),
        (body(product="prod_9"), "prod_9 is not sold here"),
    ],
)
async def test_an_order_that_cannot_be_is_cancelled_with_its_reason(
    client: httpx.AsyncClient, engine: Engine, order: str, reason: str
) -> None:
    placed = (await post(client, order)).json()
    answer = (await settled(client, placed["id"])).json()
    assert (answer["status"], answer["reason"]) == ("CANCELLED", reason)
    assert (await engine.wait(fulfil_order, placed["id"])).status == "compensated"


async def test_a_declined_payment_gives_the_stock_back(client: httpx.AsyncClient, engine: Engine) -> None:
    placed = (await post(client, body("600.00"))).json()
    await settled(client, placed["id"])
    assert (await engine.load(Stock, ONE)).state.free == AT_THE_START


@pytest.mark.parametrize("price", ["50.00", "50", "50.0", "0.10", "499.99", "999999999999.99"])
async def test_amounts_keep_their_digits(client: httpx.AsyncClient, price: str) -> None:
    answer = await post(client, body(price))
    assert f'"total":{price},' in answer.text
    assert f'"price":{price}}}' in answer.text
    standing = await settled(client, answer.json()["id"])
    assert f'"total":{price},' in standing.text
    assert f'"price":{price}}}' in standing.text


async def test_totals_are_exact(client: httpx.AsyncClient) -> None:
    assert '"total":0.30,' in (await post(client, body("0.10", quantity="3"))).text


async def test_without_a_key_each_request_is_an_order(client: httpx.AsyncClient) -> None:
    first, second = await post(client), await post(client)
    assert first.status_code == second.status_code == 201
    assert first.json()["id"] != second.json()["id"]


# ---------------------------------------------------------------- the same key again


async def test_the_same_key_gives_the_first_answer_byte_for_byte(client: httpx.AsyncClient) -> None:
    first = await post(client, key="k-1")
    again = await post(client, key="k-1")
    await settled(client, first.json()["id"])
    later = await post(client, key="k-1")
    for answer in (again, later):
        assert (answer.status_code, answer.content, answer.headers) == (201, first.content, first.headers)


async def test_the_same_key_starts_one_saga(client: httpx.AsyncClient, engine: Engine) -> None:
    for _ in range(3):
        await settled(client, (await post(client, key="k-1")).json()["id"])
    assert (await engine.load(Stock, ONE)).state.free["prod_1"] == 14


async def test_the_same_order_may_be_written_differently(client: httpx.AsyncClient) -> None:
    first = await post(client, key="k-1")
    again = await post(client, json.dumps(json.loads(body()), indent=4, sort_keys=True), key="k-1")
    assert (again.status_code, again.content) == (201, first.content)


async def test_the_same_key_with_another_body_is_refused(client: httpx.AsyncClient) -> None:
    first = await post(client, key="k-1")
    other = await post(client, body(quantity="2"), key="k-1")
    assert other.status_code == 422
    assert other.json()["error"] == "idempotency_key_reused"
    assert (await post(client, key="k-1")).content == first.content


async def test_a_refused_body_does_not_use_up_its_key(client: httpx.AsyncClient) -> None:
    assert (await post(client, "{}", key="k-1")).status_code == 400
    assert (await post(client, key="k-1")).status_code == 201


async def test_a_key_that_is_still_being_accepted(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(post(client, key="k-1") for _ in range(20)))
    placed = {answer.content for answer in answers if answer.status_code == 201}
    assert len(placed) == 1
    refused = [answer for answer in answers if answer.status_code != 201]
    assert refused
    for answer in refused:
        assert answer.status_code == 409
        assert answer.json()["error"] == "idempotency_key_in_flight"
        assert int(answer.headers["retry-after"]) >= 1


async def test_the_standard_header_is_taken_too(client: httpx.AsyncClient) -> None:
    first = await client.post("/orders", content=body(), headers={"Idempotency-Key": '"k-1"'})
    assert (await post(client, key="k-1")).content == first.content
    both = await client.post("/orders", content=body(), headers={"Idempotency-Key": "k-1", "X-Idempotency-Key": "k-1"})
    assert both.content == first.content


@only_on("memory", because="it is refused before a store is asked")
@pytest.mark.parametrize(
    "headers",
    [
        [("Idempotency-Key", "k-1"), ("X-Idempotency-Key", "k-2")],
        [("X-Idempotency-Key", "k-1"), ("X-Idempotency-Key", "k-2")],
        [("X-Idempotency-Key", "")],
        [("X-Idempotency-Key", "k" * 256)],
    ],
)
async def test_keys_that_cannot_be_meant_are_refused(client: httpx.AsyncClient, headers: list[tuple[str, str]]) -> None:
    answer = await client.post("/orders", content=body(), headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_keys_of_any_bytes_are_kept_apart(client: httpx.AsyncClient) -> None:
    keys = [b"\xf0\x9f\xa6\x8a", b"\xff\xfe", b"with space", b"'; drop table orders; --", b"/../.."]
    answers = [
        await client.post("/orders", content=body(), headers=[(b"x-idempotency-key", key)])  # type: ignore[list-item]
        for key in keys
    ]
    assert [answer.status_code for answer in answers] == [201] * len(keys)
    assert len({answer.json()["id"] for answer in answers}) == len(keys)
    for answer in answers:
        assert (await settled(client, answer.json()["id"])).status_code == 200


async def test_a_key_holds_across_a_restart() -> None:
    store = new_store()
    answers = []
    for _ in range(2):
        engine = Engine(shop.topology(), store)
        await engine.start()
        async with httpx.AsyncClient(transport=httpx.ASGITransport(gateway(engine)), base_url="http://shop") as client:
            answers.append(await post(client, key="k-1"))
            other = await post(client, body("1.00"), key="k-1")
            assert other.status_code == 422
        await engine.stop()
        store = store.again()
    assert answers[0].status_code == answers[1].status_code == 201
    assert answers[0].content == answers[1].content


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        (f"00-{TRACE}-00f067aa0ba902b7-01", TRACE),
        (f"cc-{TRACE}-00f067aa0ba902b7-00", TRACE),
        (f"ff-{TRACE}-00f067aa0ba902b7-01", None),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-00f067aa0ba902b7-01", None),
        ("garbage", None),
    ],
)
async def test_a_saga_is_found_by_the_trace_of_its_request(
    client: httpx.AsyncClient, engine: Engine, sent: str, found: str | None
) -> None:
    placed = await client.post("/orders", content=body(), headers={"traceparent": sent})
    assert placed.status_code == 201
    (saga,) = await engine.store.read_instances(InstanceQuery())
    assert saga.search.trace_id == found
    sagas = await engine.store.read_instances(InstanceQuery(trace_id=TRACE))
    assert [one.row.key for one in sagas] == ([placed.json()["id"]] if found else [])


# ---------------------------------------------------------------- asking


async def test_the_etag_is_the_version(client: httpx.AsyncClient) -> None:
    placed = (await post(client, body("600.00"))).json()
    assert (await settled(client, placed["id"])).headers["etag"] == '"2"'


@pytest.mark.parametrize("order_id", ["nobody", "0", "%00", "%F0%9F%A6%8A", "%ff", "a%2Fb", "x" * 2000])
async def test_an_order_that_is_not_there(client: httpx.AsyncClient, order_id: str) -> None:
    answer = await client.get(f"/orders/{order_id}")
    assert answer.status_code == 404
    assert answer.json()["error"] in ("order_not_found", "not_found")


async def test_an_unknown_order_is_named_so(client: httpx.AsyncClient) -> None:
    assert (await client.get("/orders/nobody")).json() == {"error": "order_not_found"}


@only_on("memory", because="it is refused before a store is asked")
async def test_other_paths_and_methods(client: httpx.AsyncClient) -> None:
    assert (await client.get("/")).status_code == 404
    answer = await client.delete("/orders")
    assert (answer.status_code, answer.json()["error"]) == (405, "method_not_allowed")
    assert "POST" in answer.headers["allow"]


# ---------------------------------------------------------------- bad input


@only_on("memory", because="it is refused before a store is asked")
@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("not json", "invalid_json"),
        (b"\xff\xfe\x00", "invalid_json"),
        ("[" * 50_000, "invalid_json"),
        (body("NaN"), "invalid_json"),
        (body("Infinity"), "invalid_json"),
        ("null", "invalid_request"),
        ("{}", "invalid_request"),
        ('{"customer_id": "ann", "items": []}', "invalid_request"),
        (body("1e400"), "invalid_item"),
        (body("0"), "invalid_item"),
        (body("-50.00"), "invalid_item"),
        (body("50.001"), "invalid_item"),
        (body("1234567890123"), "invalid_item"),
        (body('"50.00"'), "invalid_item"),
        (body(quantity="0"), "invalid_item"),
        (body(quantity="true"), "invalid_item"),
        (body(quantity="9" * 5000), "invalid_item"),
    ],
)
async def test_bad_input_is_named(client: httpx.AsyncClient, content: str | bytes, error: str) -> None:
    answer = await post(client, content, key="k-1")
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"] == error
    assert answer.json()["message"]


@only_on("memory", because="it is refused before a store is asked")
@pytest.mark.parametrize("sent", ["text/plain", "multipart/form-data; boundary=x", "image/png", "\x00", "json"])
async def test_another_content_type_is_bad_input(client: httpx.AsyncClient, sent: str) -> None:
    answer = await client.post("/orders", content=body(), headers={"Content-Type": sent})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert answer.json()["message"].endswith("send application/json")


@pytest.mark.parametrize(
    "sent", [None, "application/json; charset=utf-8", "APPLICATION/JSON", "application/x-www-form-urlencoded"]
)
async def test_what_clients_say_of_a_json_body(client: httpx.AsyncClient, sent: str | None) -> None:
    answer = await client.post("/orders", content=body(), headers={"Content-Type": sent} if sent else {})
    assert answer.status_code == 201


@only_on("memory", because="it is refused before a store is asked")
async def test_a_body_that_is_too_large(client: httpx.AsyncClient) -> None:
    answer = await post(client, " " * 300_000 + body())
    assert answer.status_code == 413
    assert answer.json()["error"] == "payload_too_large"

    async def without_length() -> Any:
        for _ in range(30):
            yield b" " * 10_000

    assert (await client.post("/orders", content=without_length())).status_code == 413


@only_on("memory", because="it is refused before a store is asked")
async def test_a_client_that_leaves_in_the_middle_is_no_fault(engine: Engine) -> None:
    coming = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(coming)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/orders", "query_string": b"", "headers": []}
    with structlog.testing.capture_logs() as logs:
        await gateway(engine)(scope, receive, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 400
    assert logs == []


# ---------------------------------------------------------------- an engine that cannot


@only_on("memory", because="the engine is not asked")
@pytest.mark.parametrize(
    ("fault", "status", "error"),
    [
        (Busy(7, retry_after=2.5), 503, "busy"),
        (Stopping("the engine is being stopped"), 503, "stopping"),
        (StoreFailed("the disk is full"), 503, "store_failed"),
        (CommitLost("no answer"), 503, "store_failed"),
        (WaitTimeout("no OrderPlaced within 10 s"), 503, "not_yet"),
    ],
)
async def test_who_cannot_be_served_now_is_told_when_to_come_again(
    client: httpx.AsyncClient, engine: Engine, fault: Exception, status: int, error: str
) -> None:
    with mock.patch.object(engine, "send_and_wait", side_effect=fault):
        answer = await post(client)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.headers["retry-after"] == ("3" if error == "busy" else "1")


@only_on("memory", because="the engine is not asked")
async def test_a_bug_tells_nothing_of_the_inside(client: httpx.AsyncClient, engine: Engine) -> None:
    with mock.patch.object(engine, "send_and_wait", side_effect=RuntimeError("secret")):
        answer = await post(client)
    assert (answer.status_code, answer.json()["error"]) == (500, "internal_error")
    assert "secret" not in answer.text


async def test_an_engine_that_has_stopped(client: httpx.AsyncClient, engine: Engine) -> None:
    await engine.stop()
    answer = await post(client)
    assert (answer.status_code, answer.json()["error"]) == (503, "stopping")


# ---------------------------------------------------------------- anything at all

numbers = (
    st.integers().map(str)
    | st.floats().map(repr)
    | st.decimals(places=2).map(str)
    | st.from_regex(r"-?[0-9]{1,15}(\.[0-9]{1,4})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["customer_id", "items", "product_id", "quantity", "price"])
near = st.dictionaries(names, values | st.lists(st.dictionaries(names, values | st.just("prod_1")), max_size=3))
bodies = (
    st.binary(max_size=300)
    | st.text().map(lambda text: text.encode(errors="surrogatepass"))
    | values.map(lambda value: json.dumps(value).encode())
    | near.map(lambda value: json.dumps(value).encode())
    | st.builds(body, numbers, numbers, st.text().map(lambda text: json.dumps(text)[1:-1])).map(str.encode)
)
headers = st.dictionaries(
    st.sampled_from([b"x-idempotency-key", b"idempotency-key", b"content-type", b"accept", b"prefer", b"if-match"]),
    st.binary(max_size=40).map(lambda value: value.translate(None, b"\r\n\0")) | st.just(b"application/json"),
)


@only_on("memory", because="it is garbage for the gateway, and far too much of it for a server")
@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(content=bodies, sent=headers)
async def test_garbage_is_never_a_fault_of_the_server(
    client: httpx.AsyncClient, content: bytes, sent: dict[bytes, bytes]
) -> None:
    answer = await client.post("/orders", content=content, headers=list(sent.items()))
    assert answer.status_code in (201, 400, 409, 422)
    if answer.status_code != 201:
        assert set(answer.json()) == {"error", "message"}


# ---------------------------------------------------------------- waiting


async def test_waits_until_the_order_is_settled(client: httpx.AsyncClient) -> None:
    placed = (await post(client)).json()
    answer = await client.get(f"/orders/{placed['id']}", headers={"Prefer": "wait=10"})
    assert answer.status_code == 200
    assert answer.json()["status"] == "CONFIRMED"
    assert answer.headers["preference-applied"] == "wait=10"
    again = await client.get(f"/orders/{placed['id']}", headers={"Prefer": "wait=600"})
    assert again.headers["preference-applied"] == "wait=60"
    assert again.headers["etag"] == answer.headers["etag"]


@pytest.mark.parametrize("way", ["code", "steps", "manager"])
async def test_waits_until_the_order_is_cancelled(way: Any) -> None:
    async with shop_app(way).engine(new_url()) as engine, client_of(engine) as client:
        placed = (await post(client, body("600.00"))).json()
        answer = await client.get(f"/orders/{placed['id']}", headers={"Prefer": "wait=10"})
        assert (answer.json()["status"], answer.headers["preference-applied"]) == ("CANCELLED", "wait=10")


@pytest.mark.parametrize("prefer", [None, "wait=x", "respond-async", "wait=0"])
async def test_who_does_not_prefer_to_wait_is_answered_at_once(prefer: str | None) -> None:
    async with held_shop() as (engine, client, placed):
        answer = await client.get(f"/orders/{placed}", headers={} if prefer is None else {"Prefer": prefer})
        assert answer.json()["status"] == "PENDING"
        assert answer.headers.get("preference-applied") == ("wait=0" if prefer == "wait=0" else None)
        assert not engine._watching


async def test_after_n_seconds_it_is_answered_as_it_is_then() -> None:
    async with held_shop() as (engine, client, placed):
        asking = asyncio.create_task(client.get(f"/orders/{placed}", headers={"Prefer": "wait=7"}))
        await until(lambda: engine._watching)
        await engine.advance(seconds=6.999)
        assert not asking.done()
        await engine.advance(seconds=0.001)
        answer = await asking
        assert (answer.status_code, answer.json()["status"]) == (200, "PENDING")
        assert answer.headers["preference-applied"] == "wait=7"


async def test_a_closed_connection_frees_who_waits() -> None:
    async with held_shop() as (engine, _, placed):
        gone = asyncio.Event()

        async def receive() -> Any:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            pass

        scope = {
            "type": "http",
            "method": "GET",
            "path": f"/orders/{placed}",
            "raw_path": f"/orders/{placed}".encode(),
            "query_string": b"",
            "headers": [(b"prefer", b"wait=60")],
            "http_version": "1.1",
            "scheme": "http",
            "asgi": {"version": "3.0"},
        }
        asking = asyncio.create_task(gateway(engine)(scope, receive, send))  # type: ignore[arg-type]
        await until(lambda: engine._watching)
        gone.set()
        await asking
        assert not engine._watching


async def test_a_stop_answers_those_who_wait() -> None:
    async with held_shop() as (engine, client, placed):
        asking = asyncio.create_task(client.get(f"/orders/{placed}", headers={"Prefer": "wait=60"}))
        await until(lambda: engine._watching)
        engine.end_watches()
        answer = await asking
        assert (answer.status_code, answer.json()["status"]) == (200, "PENDING")


async def test_an_order_that_is_not_there_is_not_waited_for(client: httpx.AsyncClient) -> None:
    answer = await client.get("/orders/nobody", headers={"Prefer": "wait=60"})
    assert (answer.status_code, answer.json()) == (404, {"error": "order_not_found"})


@asynccontextmanager
async def held_shop() -> AsyncIterator[tuple[ManualEngine, httpx.AsyncClient, str]]:
    """A shop whose charge takes for ever, and an order in it."""
    cards = mock.Mock(Cards)
    cards.charge.side_effect = lambda *_: asyncio.Event().wait()
    limits = Limits(stop_within=0.01)
    async with (
        manual_engine(shop_app(), provide={Cards: cards}, limits=limits) as engine,
        client_of(engine) as client,
    ):
        yield engine, client, (await post(client)).json()["id"]


def client_of(engine: Engine) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(gateway(engine)), base_url="http://shop")


async def test_the_shop_serves_the_api_beside_its_orders(engine: Engine) -> None:
    transport = httpx.ASGITransport(shop_server(engine))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        order = (await post(client, key="k-1")).json()
        await settled(client, order["id"])
        listed = (await client.get("/api/v1/processes", params={"key": order["id"]})).json()["items"]
        assert [item["status"] for item in listed] == ["completed"]
        explained = await client.get(f"/api/v1/processes/{listed[0]['id']}/explain")
        assert explained.status_code == 200
        assert "/api/v1/processes" in (await client.get("/schema/openapi.json")).json()["paths"]
        assert (await client.get("/health/ready")).status_code == 200
        unknown = await client.get("/ordersandmore")
        assert unknown.status_code == 404
        assert unknown.headers["content-type"] == "application/problem+json"
