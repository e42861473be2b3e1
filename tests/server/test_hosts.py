"""Who may ask: this machine by its names, and names that are declared; no page that has its own name lead here."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from tests.server.conftest import rooms, served

from sagakit import Engine, TerminalError
from sagakit.server.api import api
from sagakit.server.hosts import THIS_MACHINE, Hosts, InvalidHost, allowed, guarded
from sagakit.server.serve import address_of, bind, serve
from sagakit.transports.http.callbacks import Callbacks

COMMAND = "/api/v1/commands/rooms.BookRoom"
EVIL = "evil.example:8080"


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8080",
        "LocalHost.:1",
        "127.0.0.1",
        "127.0.0.1:65535",
        "127.8.8.8:80",
        "[::1]",
        "[::1]:8080",
        "[0:0:0:0:0:0:0:1]:8080",
    ],
)
def test_a_name_of_this_machine_will_do(host: str) -> None:
    assert THIS_MACHINE.permits(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        EVIL,
        "localhost.evil.example",
        "evil.example.localhost",
        "127.0.0.1.evil.example",
        "127.0.0.1:8080, evil.example",
        "evil.example@localhost",
        "localhost:port",
        "localhost:",
        "localhost/",
        "localhost\n",
        "localhost:80:80",
        "::1",
        "[::1",
        "[::2]",
        "0.0.0.0",
        "192.0.2.1",
        "2130706433",
        "127.1",
        "localhos\u0165",
    ],
)
def test_no_other_name_does(host: str) -> None:
    assert not THIS_MACHINE.permits(host)


def test_names_that_are_declared_do_too() -> None:
    hosts = allowed({"SAGAKIT_ALLOWED_HOSTS": "Shop.Example, door_1:8000 [2001:db8::1]"})
    assert [hosts.permits(one) for one in ("shop.example", "shop.example:8443", "shop.example.")] == [True] * 3
    assert [hosts.permits(one) for one in ("door_1:8000", "door_1:8001", "door_1")] == [True, False, False]
    assert hosts.permits("[2001:db8::1]:8080")
    assert hosts.permits("localhost:8080")
    assert not hosts.permits("a.shop.example")
    assert not allowed({}).permits("shop.example")


@pytest.mark.parametrize("text", ["*", "https://shop.example", "shop.example:port", "shop.example/path", ".example"])
def test_what_is_declared_is_a_host(text: str) -> None:
    with pytest.raises(InvalidHost, match=r"SAGAKIT_ALLOWED_HOSTS: .* is no host: write shop\.example") as raised:
        Hosts([text])
    assert repr(text) in str(raised.value)
    assert issubclass(InvalidHost, TerminalError)


@pytest.mark.parametrize(
    ("origin", "host", "permitted"),
    [
        ("http://localhost:8080", "localhost:8080", True),
        ("http://LOCALHOST:8080", "localhost:8080", True),
        ("http://localhost", "localhost:80", True),
        ("https://shop.example", "localhost", True),
        ("https://shop.example:443", "localhost", True),
        ("https://page.example:8443", "localhost", True),
        ("http://[::1]:8080", "[::1]:8080", True),
        ("https://page.example", "localhost", False),
        ("http://localhost:3000", "localhost:8080", False),
        ("http://127.0.0.1:8080", "localhost:8080", False),
        ("https://localhost", "localhost:80", False),
        ("http://evil.example", "localhost:8080", False),
        ("http://evil.example@localhost:8080", "localhost:8080", False),
        ("http://localhost:8080/", "localhost:8080", False),
        ("file://localhost:8080", "localhost:8080", False),
        ("localhost:8080", "localhost:8080", False),
        ("null", "localhost:8080", False),
        ("", "localhost:8080", False),
    ],
)
def test_a_page_changes_what_is_of_its_own_origin(origin: str, host: str, permitted: bool) -> None:
    assert Hosts(["shop.example", "page.example:8443"]).permits_origin(origin, host) is permitted


async def test_a_page_that_has_its_own_name_lead_here_reads_and_changes_nothing(engine: Engine) -> None:
    async with served(engine) as url, httpx.AsyncClient(base_url=url, headers={"Host": EVIL}, timeout=60) as page:
        same = {"Origin": f"http://{EVIL}"}  # to the browser it is of the same origin
        answers = [await page.post(COMMAND, json={"room_id": "a"}, headers=same)]
        answers += [await page.get(f"/api/v1/{path}") for path in ("processes", "workers", "stories/a/watch")]
        answers += [await page.get("/metrics/targets"), await page.get("/schema/openapi.json")]
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        answers.append(await page.get("/", headers={**upgrade, "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}))
    for answer in answers:
        assert (answer.status_code, answer.headers["content-type"]) == (421, "application/problem+json")
    told = answers[0].json()
    assert (told["type"], told["status"]) == ("urn:sagakit:problem:foreign_host", 421)
    assert told["detail"].startswith(f"Host is {EVIL!r}, which is no name of this machine")
    assert told["detail"].endswith("ask at localhost or 127.0.0.1, or declare the name in SAGAKIT_ALLOWED_HOSTS")
    assert await engine.store.read_messages() == []


async def test_probes_and_prometheus_come_by_any_name(engine: Engine) -> None:
    async with (
        served(engine) as url,
        httpx.AsyncClient(base_url=url, headers={"Host": "gateway:8000"}, timeout=60) as prober,
    ):
        for path in ("/health/live", "/health/ready"):
            assert (await prober.get(path)).status_code == 200
            assert (await prober.head(path)).status_code != 421
            assert (await prober.post(path)).status_code == 421
        assert (await prober.get("/metrics")).status_code != 421


async def test_a_page_of_another_origin_changes_nothing(engine: Engine) -> None:
    async with served(engine) as url, httpx.AsyncClient(base_url=url, timeout=60) as page:
        for origin in ("https://evil.example", "null"):
            refused = await page.post(COMMAND, json={"room_id": "a"}, headers={"Origin": origin})
            assert (refused.status_code, refused.json()["error"]) == (403, "foreign_origin")
            assert refused.json()["detail"].startswith(f"Origin is {origin!r}, which is not {url[7:]}")
        assert await engine.store.read_messages() == []
        assert (await page.get("/api/v1/processes", headers={"Origin": "https://evil.example"})).status_code == 200
        own = await page.post(COMMAND, json={"room_id": "a"}, headers={"Origin": url})
        assert own.status_code == 202


async def test_a_name_that_is_declared_is_answered(engine: Engine) -> None:
    told, body = asyncio.Event(), {"room_id": "a"}
    with bind(0) as bound:
        serving = asyncio.ensure_future(serve(engine, api(engine), bound, told, hosts=Hosts(["shop.example"])))
        async with httpx.AsyncClient(base_url=address_of(bound), timeout=60) as client:
            by_name = {"Host": "shop.example", "Origin": "https://shop.example"}
            assert (await client.post(COMMAND, json=body, headers=by_name)).status_code == 202
            assert (await client.post(COMMAND, json=body, headers={"Host": EVIL})).status_code == 421
        told.set()
        await serving


async def test_participants_answer_by_the_name_that_they_were_given() -> None:
    callbacks = Callbacks("https://shop.example", secret="0123456789abcdef")
    async with (
        rooms().engine("memory://", provide={Callbacks: callbacks}) as engine,
        served(engine) as url,
        httpx.AsyncClient(base_url=url, headers={"Host": "shop.example"}, timeout=60) as participant,
    ):
        assert (await participant.post("/api/v1/commands/c-1/answer?token=guessed")).status_code == 401
        for path in ("/api/v1/commands/answer", "/api/v1/commands//answer", "/api/v1/commands/c-1/answer/actions"):
            assert (await participant.post(path)).status_code == 421


@pytest.mark.parametrize("hosts", [[], [b"localhost", b"evil.example"], [b"localhost", b"localhost"]])
async def test_without_one_host_nobody_is_believed(hosts: list[bytes]) -> None:
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("it is asked")

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("the body is read")

    headers = [(b"host", one) for one in hosts]
    scope: Any = {"type": "http", "method": "GET", "path": "/api/v1/processes", "headers": headers}
    await guarded(app, Hosts(["localhost"]))(scope, receive, send)
    assert sent[0]["status"] == 421
