"""Readiness says which service does not serve, and goes on looking."""

from __future__ import annotations

from tests.engine.stage import until
from tests.transports.grpc.payments import Service, adding, shop

from sagakit.demos.shop.grpc.generated.payment_pb2_grpc import PaymentStub
from sagakit.testing import engine
from sagakit.transports.grpc import Peer, serving


async def test_readiness_says_when_a_service_does_not_serve() -> None:
    hindrance: str | None = None
    async with serving("127.0.0.1:0", adding(Service()), ready=lambda: hindrance, finish_within=0) as served:
        app = shop()
        app.link(Peer("payment", f"127.0.0.1:{served.port}", every=0.25))
        async with engine(app, provide={PaymentStub: None}) as running:
            assert running.ready() == f"payment: 127.0.0.1:{served.port} does not serve (not asked yet)"
            await until(lambda: running.ready() is None)
            hindrance = "its store is away"
            await until(lambda: "NOT_SERVING" in (running.ready() or ""))
            hindrance = None
            await until(lambda: running.ready() is None)
            await served.server.stop(0)
            await until(lambda: "UNAVAILABLE" in (running.ready() or ""))
