"""What `sagakit run` serves beside an engine: commands and health."""

from __future__ import annotations

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler

from sagakit.core.codec import MEBIBYTE
from sagakit.engine.engine import Engine
from sagakit.server.problems import answer_error
from sagakit.server.routes.commands import commands
from sagakit.server.routes.health import health


def api(engine: Engine, *more: HTTPRouteHandler) -> Litestar:
    """An ASGI app on this engine, with more routes of its user's."""
    return Litestar(
        [commands(engine), *health(engine), *more],
        exception_handlers={Exception: answer_error},
        request_max_body_size=2 * MEBIBYTE,
        openapi_config=None,
        logging_config=None,
    )
