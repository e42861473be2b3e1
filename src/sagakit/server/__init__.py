"""HTTP: routes, what an error is to a client, and the server beside an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from litestar.types import ASGIApp

    from sagakit.app import App
    from sagakit.idempotency import FastPath

__all__ = ["asgi"]


def asgi(app: App, *, fast: FastPath | None = None) -> ASGIApp:
    """The HTTP API of an app whose engine `app.lifespan(url)` runs, to be mounted into an ASGI app of one's own.

    `host.mount("/sagas", asgi(app))` for FastAPI and Starlette: links and the OpenAPI document name that path.
    `fast` (see `sagakit.idempotency`) answers repeats; its owner closes it.
    """
    from sagakit.server.mounting import Mounted

    return Mounted(app, fast)
