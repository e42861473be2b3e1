"""Where requests may go: to declared hosts alone, and only to addresses that were checked.

A name is resolved, each of its addresses is looked at, and the connection is made to one that was: a name that means
another address a moment later (DNS rebinding) leads nowhere. The certificate is still checked for the name.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Collection, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

import httpx

from sagakit.transports.http.failures import EgressRefused

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a name."""

PORTS = {"https": 443, "http": 80}
_NAT64 = ip_network("64:ff9b::/96")
_UNICAST = ip_network("2000::/3")
"""All that is public of IPv6. Elsewhere are prefixes that hold IPv4 addresses, and others that Python calls global."""
_NOT_PUBLIC = tuple(map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20")))
"""What Python takes for public, or did in some of its versions."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, as the system knows them, each once."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


class Egress(httpx.AsyncBaseTransport):
    """Sends requests to declared hosts, over connections to addresses that it has checked."""

    def __init__(
        self,
        hosts: Collection[str],
        networks: Collection[str] = (),
        *,
        verify: ssl.SSLContext | bool = True,
        resolve: Resolve = resolve,
    ) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)
        self._networks = tuple(ip_network(network) for network in networks)
        self._verify = verify
        self._resolve = resolve
        self._pools: dict[tuple[str, str, int], httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request. Raises EgressRefused before anything is sent, and what httpx raises."""
        url = request.url
        port = url.port or PORTS.get(url.scheme, 0)
        if url.host.lower() not in self._hosts and f"{url.host.lower()}:{port}" not in self._hosts:
            raise EgressRefused(f"{url.host}:{port} is no declared host of this service")
        addresses = await self._permitted(url.host, port, plain=url.scheme == "http")
        # a pool for each name: to another name at the same address belongs another certificate
        place = (url.scheme, url.host, port)
        pool = self._pools.get(place)
        if pool is None:
            pool = self._pools[place] = httpx.AsyncHTTPTransport(verify=self._verify, trust_env=False)
        for address in addresses[:-1]:
            try:
                return await pool.handle_async_request(_to(address, request))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue  # nothing was sent: try the next one
        return await pool.handle_async_request(_to(addresses[-1], request))

    async def aclose(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            await pool.aclose()

    async def _permitted(self, host: str, port: int, *, plain: bool) -> list[str]:
        try:
            found = [str(ip_address(host))]
        except ValueError:
            try:
                found = list(await self._resolve(host, port))
            except OSError as error:
                raise httpx.ConnectError(f"{host} cannot be resolved: {error}") from None
        permitted = [address for address in found if self.permits(address, plain=plain)]
        if not permitted:
            raise EgressRefused(f"{host} is at {', '.join(found) or 'no address'}: declare its network to allow that")
        return permitted

    def permits(self, address: str, *, plain: bool = False) -> bool:
        """Whether a connection to this address may be made: it is public, or in a declared network; in the latter
        alone if what is sent can be read on the way (`plain`)."""
        several = _meant(ip_address(address.partition("%")[0]))
        return all(self._is_declared(one) or (not plain and _is_public(one)) for one in several)

    def _is_declared(self, address: Address) -> bool:
        return any(address.version == network.version and address in network for network in self._networks)


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address not in _UNICAST:
        return False
    return address.is_global and not address.is_multicast and not any(address in one for one in _NOT_PUBLIC)


def _meant(address: Address) -> list[Address]:
    """The addresses that packets to this one may come to: an IPv6 address may hold an IPv4 address."""
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address in _NAT64:
        return [IPv4Address(int(address) & 0xFFFFFFFF)]
    if address.sixtofour is not None:
        return [address, address.sixtofour]
    return [address, *(address.teredo or ())]


def _to(address: str, request: httpx.Request) -> httpx.Request:
    """The same request, to this address; the name stays in the Host header and in the handshake."""
    extensions = {**request.extensions, "sni_hostname": request.url.host}
    url = request.url.copy_with(host=address)
    return httpx.Request(request.method, url, headers=request.headers, stream=request.stream, extensions=extensions)
