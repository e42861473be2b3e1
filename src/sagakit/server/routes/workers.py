"""Who runs on the database, over HTTP: for people, and for Prometheus, which is told where each one's metrics are."""

from __future__ import annotations

from time import time_ns
from urllib.parse import urlsplit

from litestar import get
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from sagakit.engine.engine import Engine
from sagakit.server.routes.answers import PROBLEMS
from sagakit.server.showing.workers import Workers, WorkerView, workers_of


class Targets(Struct):
    """Where to scrape, as Prometheus' HTTP service discovery takes it."""

    targets: list[str]
    """One `host:port`."""
    labels: dict[str, str]


def workers(engine: Engine) -> list[HTTPRouteHandler]:
    """The routes."""
    cluster = engine.store.cluster

    async def found() -> list[WorkerView]:
        return [] if cluster is None else await workers_of(cluster, time_ns() // 1000)

    @get("/api/v1/workers", responses=PROBLEMS, summary="List the workers of the database", tags=["operating"])
    async def list_workers() -> Workers:
        return Workers(await found(), [] if cluster is None else await cluster.read_unclaimed())

    @get("/metrics/targets", include_in_schema=False)
    async def list_targets() -> list[Targets]:
        return [
            Targets([urlsplit(one.url).netloc], {"worker": one.name or one.id, "host": one.host, "app": one.app})
            for one in await found()
            if one.url
        ]

    return [list_workers, list_targets]
