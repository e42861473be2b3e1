"""The HTTP API on an engine: commands, processes, stories, the operator's hands, health, and its document."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler

from sagakit.core.codec import MEBIBYTE
from sagakit.engine.engine import Engine
from sagakit.idempotency import FastPath
from sagakit.server.openapi import openapi
from sagakit.server.problems import answer_problem
from sagakit.server.routes.commands import commands
from sagakit.server.routes.health import health
from sagakit.server.routes.metrics import metrics
from sagakit.server.routes.operating import operating
from sagakit.server.routes.participants import participants
from sagakit.server.routes.processes import processes
from sagakit.server.routes.stories import stories
from sagakit.server.routes.workers import workers


def api(engine: Engine, *more: HTTPRouteHandler, fast: FastPath | None = None) -> Litestar:
    """An ASGI app on this engine, with more routes of its user's; `fast` answers repeats."""
    own = routes(engine, fast)
    return Litestar(
        [*own, *more, openapi(engine, [*own, *more])],
        exception_handlers={Exception: answer_problem},
        request_max_body_size=2 * MEBIBYTE,
        openapi_config=None,
        logging_config=None,
    )


def routes(engine: Engine, fast: FastPath | None = None) -> Sequence[HTTPRouteHandler]:
    """All that sagakit itself answers, without the document."""
    return [
        *commands(engine, fast),
        *participants(engine),
        *processes(engine),
        *stories(engine),
        *operating(engine),
        *health(engine),
        *metrics(engine, fast),
        *workers(engine),
    ]
