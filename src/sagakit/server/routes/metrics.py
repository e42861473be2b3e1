"""What Prometheus reads."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

from sagakit.engine.engine import Engine
from sagakit.idempotency import FastPath


def metrics(engine: Engine, fast: FastPath | None = None) -> list[HTTPRouteHandler]:
    """`GET /metrics`, where somebody counts; `fast`: what it answers is counted as well."""
    observer, copies = engine.observer, None if fast is None else fast.counted
    if observer is None:
        return []

    @get("/metrics", include_in_schema=False)
    async def show(request: Request[Any, Any, Any]) -> Response[bytes]:
        found = await observer.exposition(request.headers.get("accept", ""), copies)
        if found is None:
            return Response(b"nothing is counted here", status_code=404, media_type="text/plain")
        text, content_type = found
        return Response(text, headers={"Content-Type": content_type})

    return [show]
