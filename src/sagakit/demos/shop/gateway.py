"""The order gateway: the shop over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from litestar import Litestar, Request, Response, get, post
from uuid_utils import uuid7

from sagakit import Engine, NotFound, stable_id
from sagakit.demos.shop.order_book import OrderBook, OrdersHere
from sagakit.demos.shop.order_request import BadRequest, read_order
from sagakit.idempotency import FastPath
from sagakit.server.api import api
from sagakit.server.keys import Once, idempotency_key
from sagakit.server.prefer import applied, preferred_wait, while_connected
from sagakit.server.problems import Problem, answer_error, problem_response
from sagakit.server.routes.health import health
from sagakit.server.trace import traceparent

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Receive, Scope, Send

LONGEST_BODY = 256 * 1024

_TAKEN = ("", "application/json", "application/x-www-form-urlencoded")
"""The last is what curl and others send for a body of which nothing is said: it is read as JSON all the same."""

_encode = msgspec.json.Encoder(decimal_format="number").encode


def shop_server(engine: Engine, book: OrderBook | None = None, *, fast: FastPath | None = None) -> ASGIApp:
    """The gateway, and beside its orders the API over all that the engine runs."""
    orders, others = gateway(engine, book, fast=fast), api(engine, fast=fast)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        to = orders if path == "/orders" or path.startswith("/orders/") else others
        await to(scope, receive, send)

    return answer


def gateway(engine: Engine, book: OrderBook | None = None, *, fast: FastPath | None = None) -> Litestar:
    """The gateway to the shop. `book`: where its orders are, unless this engine runs the whole of it.

    `fast` answers repeats.
    """
    orders, once = OrdersHere(engine) if book is None else book, Once("/orders", engine, fast)

    @post("/orders")
    async def place_order(request: Request[Any, Any, Any]) -> Response[bytes]:
        _check_type(request)
        key = idempotency_key(request)
        asked = read_order(await request.body())
        order_id = stable_id("order", key) if key is not None else uuid7().hex
        trace = traceparent(request)

        async def accept() -> bytes:
            return _encode(await orders.place(order_id, asked, key=key, trace=trace))

        answer = await once.answer(orders.command, key, asked.digest(), accept)
        return _answer(answer, status=201, headers={"Location": f"/orders/{order_id}"})

    @get("/orders/{order_id:str}")
    async def get_order(request: Request[Any, Any, Any]) -> Response[bytes]:
        order_id, wait = str(request.path_params["order_id"]), preferred_wait(request)
        try:
            order, version = await orders.find(order_id)
            if wait and order.status == "PENDING":
                await while_connected(request, orders.settled(order_id, wait))
                order, version = await orders.find(order_id)
        except NotFound:
            return problem_response(Problem(404, "order_not_found"))
        return _answer(_encode(order), status=200, headers={"ETag": f'"{version}"', **applied(wait)})

    return Litestar(
        [place_order, get_order, *health(engine)],
        exception_handlers={BadRequest: _answer_bad_request, Exception: answer_error},
        request_max_body_size=LONGEST_BODY,
        openapi_config=None,
        logging_config=None,
    )


def _answer(content: bytes, *, status: int, headers: dict[str, str]) -> Response[bytes]:
    return Response(content, status_code=status, media_type="application/json", headers=headers)


def _answer_bad_request(_: Request[Any, Any, Any], error: BadRequest) -> Response[bytes]:
    return problem_response(Problem(400, error.error, str(error)))


def _check_type(request: Request[Any, Any, Any]) -> None:
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent not in _TAKEN and not sent.endswith("+json"):
        raise BadRequest("invalid_request", f"the Content-Type is {sent[:80]!r}: send application/json")
