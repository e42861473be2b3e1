"""The order gateway: the shop over HTTP."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
from litestar import Litestar, Request, Response, get, post
from uuid_utils import uuid7

from sagakit import Engine, NotFound, Stopping, WaitTimeout, stable_id
from sagakit.demos.shop.order_request import BadRequest, read_order
from sagakit.demos.shop.orders.messages import Item, OrderPlaced, PlaceOrder
from sagakit.demos.shop.orders.order import Order
from sagakit.server.api import api
from sagakit.server.keys import idempotency_key
from sagakit.server.prefer import applied, preferred_wait, while_connected
from sagakit.server.problems import Problem, answer_error, problem_response
from sagakit.server.routes.health import health
from sagakit.server.trace import traceparent

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Receive, Scope, Send

LONGEST_BODY = 256 * 1024
ACCEPT_WITHIN = 10
"""Seconds until a client is asked to come again with the same key."""

_TAKEN = ("", "application/json", "application/x-www-form-urlencoded")
"""The last is what curl and others send for a body of which nothing is said: it is read as JSON all the same."""


class OrderView(msgspec.Struct, omit_defaults=True):
    """An order as clients see it."""

    id: str
    customer_id: str
    status: str
    total: Decimal
    items: tuple[Item, ...]
    created_at: datetime | None
    updated_at: datetime | None
    reason: str = ""


_encode = msgspec.json.Encoder(decimal_format="number").encode


def shop_server(engine: Engine) -> ASGIApp:
    """The gateway, and beside its orders the API over all that the engine runs."""
    orders, others = gateway(engine), api(engine)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        to = orders if path == "/orders" or path.startswith("/orders/") else others
        await to(scope, receive, send)

    return answer


def gateway(engine: Engine) -> Litestar:
    """The gateway to the shop that this engine runs."""

    @post("/orders")
    async def place_order(request: Request[Any, Any, Any]) -> Response[bytes]:
        _check_type(request)
        key = idempotency_key(request)
        asked = read_order(await request.body())
        order_id = stable_id("order", key) if key is not None else uuid7().hex
        placed = await engine.send_and_wait(
            PlaceOrder(order_id, asked.customer_id, asked.items, datetime.now(UTC)),
            until=OrderPlaced,
            timeout=ACCEPT_WITHIN,
            idempotency_key=key,
            digest=asked.digest(),
            trace=traceparent(request),
        )
        return _answer(_placed(placed), status=201, headers={"Location": f"/orders/{order_id}"})

    @get("/orders/{order_id:str}")
    async def get_order(request: Request[Any, Any, Any]) -> Response[bytes]:
        order_id, wait = str(request.path_params["order_id"]), preferred_wait(request)
        try:
            order, version = await engine.load(Order, order_id)
            if wait and order.status == "PENDING":
                await while_connected(request, _settled(engine, order_id, wait))
                order, version = await engine.load(Order, order_id)
        except NotFound:
            return problem_response(Problem(404, "order_not_found"))
        if order.status == "NEW":
            return problem_response(Problem(404, "order_not_found"))
        headers = {"ETag": f'"{version}"', **applied(wait)}
        return _answer(_standing(order_id, order), status=200, headers=headers)

    return Litestar(
        [place_order, get_order, *health(engine)],
        exception_handlers={BadRequest: _answer_bad_request, Exception: answer_error},
        request_max_body_size=LONGEST_BODY,
        openapi_config=None,
        logging_config=None,
    )


async def _settled(engine: Engine, order_id: str, wait: int) -> None:
    """Wait until the process of an order has ended, at most so many seconds; the order is answered as it is then."""
    process = engine.topology.starters[OrderPlaced][0].name
    with suppress(WaitTimeout, Stopping):
        await engine.wait(process, order_id, timeout=wait)


def _placed(event: OrderPlaced) -> OrderView:
    """The first answer; a repeat makes the same one from the same event."""
    at = event.placed_at
    return OrderView(event.order_id, event.customer_id, "PENDING", event.total, event.items, at, at)


def _standing(order_id: str, order: Order) -> OrderView:
    return OrderView(
        order_id,
        order.customer_id,
        order.status,
        order.total,
        order.items,
        order.placed_at,
        order.updated_at,
        order.reason,
    )


def _answer(view: OrderView, *, status: int, headers: dict[str, str]) -> Response[bytes]:
    return Response(_encode(view), status_code=status, media_type="application/json", headers=headers)


def _answer_bad_request(_: Request[Any, Any, Any], error: BadRequest) -> Response[bytes]:
    return problem_response(Problem(400, error.error, str(error)))


def _check_type(request: Request[Any, Any, Any]) -> None:
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent not in _TAKEN and not sent.endswith("+json"):
        raise BadRequest("invalid_request", f"the Content-Type is {sent[:80]!r}: send application/json")
