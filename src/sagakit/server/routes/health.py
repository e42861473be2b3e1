"""Whether the process lives, and whether its engine takes on work."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from sagakit.engine.engine import Engine
from sagakit.server.showing.unclaimed import Unclaimeds, words


def health(engine: Engine) -> list[HTTPRouteHandler]:
    """`/health/live` and `/health/ready`."""
    unclaimed = Unclaimeds(engine)

    @get("/health/live")
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @get("/health/ready")
    async def ready() -> Response[Any]:
        # together: a probe has a second, and both wait where the store hangs
        hindrance, known = await asyncio.gather(engine.look_ready(), unclaimed.known())
        warnings = [words(one) for one in known]  # none of it is this worker's to mend: it is ready
        beside = {"warnings": warnings} if warnings else {}
        if hindrance is None:
            return Response({"status": "ready", **beside})
        return Response({"status": "not_ready", "reason": hindrance, **beside}, status_code=503)

    return [live, ready]
