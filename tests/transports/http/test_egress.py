"""Requests go to declared hosts, and to addresses that were checked: whatever a name says a moment later."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.transports.http.server import Service, answered, serving

from sagakit.transports.http import EgressRefused, HttpService, RequestFailed
from sagakit.transports.http.egress import Egress, resolve

CERTIFICATE = Path(__file__).parent / "billing.test.pem"
"""For that name, signed by itself, with its key."""
LOOPBACK = ("127.0.0.0/8", "::1/128")


class Names:
    """A name server: each answer once, the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with serving() as served:
        served.answering = lambda _: answered("200 OK", {})
        yield served


async def get(url: str, **options: Any) -> int:
    async with HttpService(url, **options) as opened:
        return (await opened.send("GET", "/", headers={}, body=None)).status


PRIVATE = [
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "127.0.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "255.255.255.255",
    "224.0.0.1",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fd00::1",
    "ff02::1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a00:1::",
    "2001:0:a00:1:0:0:f5ff:fffe",
    "::a9fe:a9fe",
    "::ffff:0:a9fe:a9fe",
    "64:ff9b:1::a9fe:a9fe",
    "fec0::1",
    "5f00::1",
    "100:0:0:1::1",
    "3fff::1",
    "192.0.0.8",
    "192.88.99.1",
    "240.0.0.1",
]
PUBLIC = ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.216.34", "64:ff9b::5db8:d822"]


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_public_is_not_gone_to(address: str) -> None:
    assert not Egress(["a"]).permits(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_is(address: str) -> None:
    assert Egress(["a"]).permits(address)


def test_what_can_be_read_on_the_way_goes_to_declared_networks_alone() -> None:
    egress = Egress(["a"], ["10.1.0.0/16"])
    assert egress.permits("93.184.216.34")
    assert not egress.permits("93.184.216.34", plain=True)
    assert egress.permits("10.1.2.3", plain=True)


async def test_plain_http_does_not_leave_the_declared_networks() -> None:
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["93.184.216.34"]

    with pytest.raises(EgressRefused, match=r"service\.example is at 93\.184\.216\.34: declare its network"):
        await get("http://service.example", networks=["10.0.0.0/8"], resolve=resolve)
    assert asked == ["service.example"]


def test_a_network_may_be_declared() -> None:
    egress = Egress(["a"], ["10.1.0.0/16", "fd00::/8"])
    assert [egress.permits(one) for one in ("10.1.2.3", "10.2.0.1", "fd00::1", "::ffff:10.1.0.1", "127.0.0.1")] == [
        True,
        False,
        True,
        True,
        False,
    ]


async def test_a_name_that_means_a_private_address_is_refused(service: Service) -> None:
    with pytest.raises(EgressRefused, match=r"billing\.test is at 127\.0\.0\.1: declare its network"):
        await get(f"https://billing.test:{service.port}", resolve=Names(["127.0.0.1"]))
    with pytest.raises(EgressRefused, match=r"127\.0\.0\.1 is at 127\.0\.0\.1"):
        await get(f"https://127.0.0.1:{service.port}")
    with pytest.raises(EgressRefused, match="no address"):
        await get("https://billing.test", resolve=Names([]))
    assert service.requests == []


async def test_the_connection_is_made_to_the_address_that_was_checked(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system would resolve the name to something else by now: nobody asks it."""
    names = Names(["127.0.0.1"], ["169.254.169.254"])
    url = f"http://billing.test:{service.port}"
    async with HttpService(url, networks=LOOPBACK, resolve=names) as opened:
        monkeypatch.setattr(socket, "getaddrinfo", _only_addresses)
        assert (await opened.send("GET", "/a", headers={}, body=None)).status == 200
        with pytest.raises(EgressRefused):  # the next one is checked anew
            await opened.send("GET", "/b", headers={}, body=None)
    assert names.asked == ["billing.test", "billing.test"]
    assert [one.path for one in service.requests] == ["/a"]
    assert service.requests[0].headers["host"] == f"billing.test:{service.port}"


def _only_addresses(host: Any, port: Any, *_: Any, **__: Any) -> Any:
    name = host.decode() if isinstance(host, bytes) else host
    address = ipaddress.ip_address(name)  # raises where somebody resolves a name
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (str(address), port))]


async def test_of_several_addresses_only_permitted_ones_are_tried(service: Service) -> None:
    url = f"http://billing.test:{service.port}"
    # 127.0.0.2 is there, and nobody listens at it
    names = Names(["10.0.0.1", "127.0.0.2", "127.0.0.1"])
    assert await get(url, networks=["127.0.0.0/8"], resolve=names) == 200


async def test_another_host_is_refused() -> None:
    async with httpx.AsyncClient(transport=Egress(["a.test"])) as client:
        with pytest.raises(EgressRefused, match=r"b\.test:443 is no declared host"):
            await client.get("https://b.test/")


async def test_no_proxy_of_the_environment_is_asked(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert await get(service.url(), networks=LOOPBACK) == 200


async def test_a_name_that_is_not_known_is_tried_again() -> None:
    async def unknown(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror("no such name")

    with pytest.raises(RequestFailed, match="cannot be resolved"):
        await get("https://billing.test", resolve=unknown)


async def test_the_system_resolves_names() -> None:
    assert {"127.0.0.1", "::1"}.intersection(await resolve("localhost", 80))


async def test_the_certificate_is_checked_for_the_name() -> None:
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(CERTIFICATE)
    trusting = ssl.create_default_context(cafile=str(CERTIFICATE))
    served = Service(answering=lambda _: answered("200 OK", {}))
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0, ssl=server_side)
    port = server.sockets[0].getsockname()[1]
    options: dict[str, Any] = {"networks": LOOPBACK, "resolve": Names(["127.0.0.1"]), "verify": trusting}
    try:
        assert await get(f"https://billing.test:{port}", **options) == 200
        with pytest.raises(RequestFailed, match="CERTIFICATE_VERIFY_FAILED"):
            await get(f"https://other.test:{port}", **options)
    finally:
        server.close()
