"""The way to a service: a channel that is open as long as it is needed, and comes back soon when the service does."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio

_OPTIONS: Sequence[tuple[str, Any]] = (
    # one attempt is one call: trying again is the engine's, which remembers it across a crash
    ("grpc.enable_retries", 0),
    # else a service that was away for a while is looked for only every other minute
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.min_reconnect_backoff_ms", 2_000),
)


@asynccontextmanager
async def connected(
    target: str,
    *,
    credentials: grpc.ChannelCredentials | None = None,
    options: Sequence[tuple[str, Any]] = (),
    interceptors: Sequence[grpc.aio.ClientInterceptor] = (),
) -> AsyncGenerator[grpc.aio.Channel]:
    """A channel to `target` (`host:port`). It need not be there yet: calls fail, and are tried again, until it is.

    `credentials`: for TLS, as `grpc.ssl_channel_credentials` makes them. `options` go before those set here.
    """
    chosen = {**dict(_OPTIONS), **dict(options)}
    arguments: Any = {"options": list(chosen.items()), "interceptors": list(interceptors)}
    channel = (
        grpc.aio.insecure_channel(target, **arguments)
        if credentials is None
        else grpc.aio.secure_channel(target, credentials, **arguments)
    )
    async with channel:
        yield channel
