"""A service that commands are sent to: where it is, what each request carries, and where requests may go."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Collection, Mapping
from typing import Self
from urllib.parse import urlsplit

import httpx

from sagakit.core.codec import MEBIBYTE
from sagakit.core.messages import Seconds, seconds
from sagakit.transports.http.answer import Answer
from sagakit.transports.http.egress import Egress, Resolve, resolve
from sagakit.transports.http.failures import EgressRefused, RequestFailed, RequestRejected

KEEPS_METHOD = frozenset({307, 308})
REDIRECTS = frozenset({301, 302, 303}) | KEEPS_METHOD


class HttpService:
    """One service over HTTP. Make a class of your own of it, and provide one, open, by that type.

    `headers`: sent with each request to this service, its credentials among them. `timeout`: seconds for one request
    where the handler declares none. Requests go to the host of `url` and to `hosts` alone, and to public addresses
    alone, unless `networks` declares others (`"10.0.0.0/8"`); plain `http` only into declared networks. `redirects`:
    so many are followed, among declared hosts; none by default. `most`: bytes of an answer.
    """

    def __init__(  # noqa: PLR0913 (options, by name)
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: Seconds = 30.0,
        hosts: Collection[str] = (),
        networks: Collection[str] = (),
        redirects: int = 0,
        verify: ssl.SSLContext | bool = True,
        most: int = MEBIBYTE,
        resolve: Resolve = resolve,
    ) -> None:
        self.url = _checked(url, networks)
        self.timeout = seconds(timeout)
        self._headers = dict(headers or {})
        self._redirects = redirects
        self._most = most
        self._own = httpx.URL(self.url)
        egress = Egress({self._own.host, *hosts}, networks, verify=verify, resolve=resolve)
        # no environment: a proxy that it names would be asked to connect to addresses that nobody has checked
        self._client = httpx.AsyncClient(transport=egress, trust_env=False, timeout=None)  # noqa: S113 (`send` has one for the whole)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def send(
        self, method: str, path: str, *, headers: Mapping[str, str], body: bytes | None, timeout: float | None = None
    ) -> Answer:
        """Send a request, and read its answer whole. Raises RequestFailed, RequestRejected or EgressRefused."""
        limit = self.timeout if timeout is None else timeout
        try:
            async with asyncio.timeout(limit):
                return await self._followed(method, httpx.URL(self.url + path), headers, body)
        except TimeoutError:
            raise RequestFailed(f"no answer within {limit:g} s") from None
        except httpx.InvalidURL as error:
            raise EgressRefused(f"no URL: {error}") from None
        except httpx.HTTPError as error:
            raise RequestFailed(f"{type(error).__name__}: {error}".rstrip(": ")) from None

    async def _followed(self, method: str, url: httpx.URL, headers: Mapping[str, str], body: bytes | None) -> Answer:
        left = self._redirects
        while True:
            answer = await self._once(method, url, headers, body)
            where = answer.headers.get("location")
            if answer.status not in REDIRECTS or where is None:
                return answer
            # of some, whoever follows them would ask for something else
            if not left or (method != "GET" and answer.status not in KEEPS_METHOD):
                raise RequestRejected(
                    f"the service answered {answer.status}, a redirect to {where[:200]}: not followed"
                )
            left, url = left - 1, url.join(where)

    async def _once(self, method: str, url: httpx.URL, headers: Mapping[str, str], body: bytes | None) -> Answer:
        is_own = (url.scheme, url.host, url.port) == (self._own.scheme, self._own.host, self._own.port)
        if url.scheme != self._own.scheme:
            raise EgressRefused(f"a redirect to {url.scheme}: it stays {self._own.scheme}")
        sent = {**(self._headers if is_own else {}), **headers}  # credentials are for nobody else
        async with self._client.stream(method, url, headers=sent, content=body) as response:
            read = bytearray()
            async for part in response.aiter_bytes():
                read += part
                if len(read) > self._most:
                    raise RequestRejected(f"the service answered {response.status_code} with over {self._most} bytes")
            return Answer(response.status_code, dict(response.headers.items()), bytes(read))


def _checked(url: str, networks: Collection[str]) -> str:
    """The URL without a slash at its end, if requests may be made to it. No error shows more of it than its host."""
    try:
        parts = urlsplit(url)
        port_is_right = parts.port != 0
    except ValueError as error:
        raise ValueError(f"url: {error}") from None
    if parts.scheme not in ("https", "http") or not parts.hostname or not port_is_right:
        raise ValueError("url: give an absolute one, like https://billing.example.com/v1")
    if parts.username is not None or parts.password is not None:
        raise ValueError("url: it has a user or a password in it: give headers={'Authorization': ...}")
    if parts.query or parts.fragment:
        raise ValueError("url: it ends with its path")
    if parts.scheme == "http" and not networks:
        raise ValueError(f"url: http to {parts.hostname}: use https, or declare the networks that http may go into")
    return url.rstrip("/")
