"""Redis or Valkey, one server or the primary of several: the driver's only home."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from sagakit.errors import TerminalError
from sagakit.idempotency.settings import Settings

SCHEMES = {"redis": "redis", "rediss": "rediss", "unix": "unix", "valkey": "redis", "valkeys": "rediss"}
PREFIX = "sagakit:idempotency:"

# Scripts, as older servers know neither SET NX with GET nor a conditional DEL.
CLAIM = """
local found = redis.call('GET', KEYS[1])
if found then return found end
redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])
return false
"""
RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class UnknownServer(TerminalError):
    """The URL names no server that idempotency keys can be kept at."""


class RedisServer:
    """The commands that the fast path needs; each key under a prefix of ours."""

    def __init__(self, url: str, settings: Settings) -> None:
        """Nothing is connected before the first command. Raises UnknownServer, without the secrets of the URL."""
        self.place = without_secrets(url)
        scheme, separator, rest = url.partition("://")
        if not separator or scheme not in SCHEMES:
            raise UnknownServer(f"{self.place!r} names no Redis or Valkey: write redis://localhost:6379/0")
        options: dict[str, Any] = {
            "max_connections": settings.connections,
            "timeout": settings.patience,
            "socket_connect_timeout": settings.patience,
            # who calls has a limit for the whole; the driver's own, by `asyncio.wait_for`, may lose that one's
            # cancellation before Python 3.12
            "socket_timeout": None,
            "retry": Retry(NoBackoff(), 0),  # who asks has no time for a second try: the store answers
            "decode_responses": False,
        }
        try:
            pool = cast(Any, BlockingConnectionPool).from_url(f"{SCHEMES[scheme]}://{rest}", **options)
        except (ValueError, TypeError):
            # the driver's own words may hold the password
            raise UnknownServer(f"{self.place!r} cannot be read: write redis://localhost:6379/0") from None
        self._pool = pool
        self._redis = cast(Any, Redis(connection_pool=pool))
        self._claim = self._redis.register_script(CLAIM)
        self._release = self._redis.register_script(RELEASE)

    async def claim(self, name: str, value: bytes, lease: float) -> bytes | None:
        """Put it where nothing is, for so many seconds: None. Else what is there."""
        found = await self._claim(keys=[PREFIX + name], args=[value, _milliseconds(lease)])
        return None if found is None else bytes(found)

    async def put(self, name: str, value: bytes, keep: float) -> None:
        """Put it there, whatever was."""
        await self._redis.set(PREFIX + name, value, px=_milliseconds(keep))

    async def release(self, name: str, value: bytes) -> None:
        """Remove exactly this value: a claim is let go by its holder alone."""
        await self._release(keys=[PREFIX + name], args=[value])

    async def ping(self) -> None:
        """Answer."""
        await self._redis.ping()

    async def forget_connections(self) -> None:
        """Connections to a server that is away are not to be used again."""
        await self._pool.disconnect(inuse_connections=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.disconnect()


def without_secrets(url: str) -> str:
    """A URL as it may be logged: no user, no password, no options."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "the URL"
    if "@" in parts.path + parts.query + parts.fragment:  # a password that is not escaped cuts the URL elsewhere
        return f"{parts.scheme}://..."
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
