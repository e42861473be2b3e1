"""The API inside a user's own ASGI app."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sagakit.app import App
from sagakit.engine.engine import Engine
from sagakit.errors import Stopping
from sagakit.idempotency import FastPath
from sagakit.server.api import api
from sagakit.server.links import MOUNT
from sagakit.server.problems import problem_of, send_problem

if TYPE_CHECKING:
    from litestar import Litestar
    from litestar.types import Receive, Scope, Send


class Mounted:
    """Passes requests to the API of the engine that runs at the moment."""

    def __init__(self, app: App, fast: FastPath | None = None) -> None:
        self._app = app
        self._fast = fast
        self._engine: Engine | None = None
        self._api: Litestar | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Called by the host; the lifespan is the host's own."""
        if scope["type"] != "http":
            return
        try:
            engine = await self._app.current()
        except Stopping as stopping:
            await send_problem(send, problem_of(stopping))
            return
        if self._api is None or engine is not self._engine:
            self._engine, self._api = engine, api(engine, fast=self._fast)
        await self._api(_behind(scope), receive, send)


def _behind(scope: Scope) -> Scope:
    """The scope with a path that begins behind the mount, as the routes know it."""
    inside: Any = dict(scope)
    root = str(inside.get("root_path", "")).rstrip("/")
    path = str(inside["path"])
    if root and (path == root or path.startswith(f"{root}/")):  # hosts differ: some leave the mount in the path
        path = path[len(root) :] or "/"
    inside |= {"path": path, "raw_path": path.encode(), "root_path": "", MOUNT: root}
    return inside
