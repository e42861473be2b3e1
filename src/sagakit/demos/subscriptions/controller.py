"""The controller: a purchase is answered with the payment session, or with what the provider had against it."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response, post
from litestar.exceptions import ClientException
from litestar.handlers import HTTPRouteHandler
from uuid_utils import uuid7

from sagakit import Engine, OutcomeUnknown, Refused, WaitTimeout, stable_id
from sagakit.demos.subscriptions.messages import Order
from sagakit.server.keys import idempotency_key
from sagakit.server.trace import traceparent

PATIENCE = 10.0
"""Seconds that a client waits for its session."""


class Purchase(msgspec.Struct, forbid_unknown_fields=True):
    """What a client asks for."""

    email: str
    plan: str
    persons: int = 1
    card: str = "4242-4242-4242-4242"


def purchases(engine: Engine) -> HTTPRouteHandler:
    """`POST /plan/purchase`: 200 with the session to pay in; 402 refused; 502 the provider could not be reached."""

    @post("/plan/purchase")
    async def purchase(request: Request[Any, Any, Any]) -> Response[dict[str, str]]:
        asked = _read(await request.body())
        key = idempotency_key(request)
        order_id = stable_id("plan", key)[:12] if key else uuid7().hex[-12:]
        start = Order.Start(order_id, asked.email, asked.plan, asked.persons, asked.card)
        try:
            session = await engine.send_and_wait(
                start,
                until=Order.Step3.SessionCreated,
                timeout=PATIENCE,
                idempotency_key=key,
                trace=traceparent(request),
            )
        except Refused as refused:  # at once, with the provider's own reason; what was done is being undone
            return Response({"order_id": order_id, "error": "refused", "message": refused.reason}, status_code=402)
        except OutcomeUnknown as unknown:
            return Response({"order_id": order_id, "error": "unreachable", "message": unknown.reason}, status_code=502)
        except WaitTimeout as late:
            return Response({"order_id": order_id, "error": "not_yet", "message": str(late)}, status_code=504)
        return Response({"order_id": order_id, "session_id": session.session_id}, status_code=200)

    return purchase


def _read(body: bytes) -> Purchase:
    try:
        return msgspec.json.decode(body, type=Purchase)
    except msgspec.MsgspecError as error:
        raise ClientException(f"{error}: send email, plan, persons and card as JSON") from error
