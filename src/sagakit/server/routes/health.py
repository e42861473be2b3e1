"""Whether the process lives, and whether its engine takes on work."""

from __future__ import annotations

from typing import Any

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from sagakit.engine.engine import Engine


def health(engine: Engine) -> list[HTTPRouteHandler]:
    """`/health/live` and `/health/ready`."""

    @get("/health/live")
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @get("/health/ready")
    async def ready() -> Response[Any]:
        hindrance = engine.ready()
        if hindrance is None:
            return Response({"status": "ready"})
        return Response({"status": "not_ready", "reason": hindrance}, status_code=503)

    return [live, ready]
