"""The trace that a request belongs to (W3C Trace Context), and the span of the request itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from litestar import Request
from opentelemetry.propagate import extract
from opentelemetry.trace import ProxyTracerProvider, SpanKind, StatusCode, get_current_span, get_tracer_provider

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Message, Receive, Scope, Send

_FORM = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_LOOKING = frozenset({"GET", "HEAD", "OPTIONS"})
"""Requests that begin no story: they have no span."""


def traceparent(request: Request[Any, Any, Any]) -> str | None:
    """The span of this request, else its `traceparent` header; None if there is neither.

    A header that is not valid is to be ignored.
    """
    context = get_current_span().get_span_context()
    if context.is_valid:
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    sent = request.headers.get("traceparent", "").strip()
    return sent if _FORM.fullmatch(sent) else None


def traced(app: ASGIApp) -> ASGIApp:
    """The same, with a span around each request that may change something; as it is where nobody takes spans."""
    provider = get_tracer_provider()
    if isinstance(provider, ProxyTracerProvider):
        return app
    tracer = provider.get_tracer("sagakit.server")

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in _LOOKING:
            await app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        method = str(scope["method"])
        attributes = {"http.request.method": method, "url.scheme": str(scope["scheme"])}
        with tracer.start_as_current_span(
            method, extract(headers), kind=SpanKind.SERVER, attributes=attributes
        ) as span:

            async def watched(message: Message) -> None:
                if message["type"] == "http.response.start":
                    status = int(message["status"])
                    span.set_attribute("http.response.status_code", status)
                    if status >= 500:
                        span.set_status(StatusCode.ERROR)
                        span.set_attribute("error.type", str(status))
                await send(message)

            try:
                await app(scope, receive, watched)
            finally:
                route = scope.get("path_template")
                if route:
                    span.update_name(f"{method} {route}")
                    span.set_attribute("http.route", str(route))

    return answer
