"""What a request says of itself, for whoever answers it: read by an interceptor, and told errors as a status."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import grpc
import grpc.aio
import structlog

from sagakit.transports.grpc.answering.tracing import asked
from sagakit.transports.grpc.metadata import (
    CAUSATION_ID,
    CORRELATION_ID,
    IDEMPOTENCY_KEY,
    REQUEST_ID,
    UNDOES,
    Metadata,
    as_mapping,
    plain,
    trace_of,
)
from sagakit.transports.grpc.status import Status, status_of

_log = structlog.get_logger("sagakit.grpc")


@dataclass(frozen=True)
class Incoming:
    """A request's metadata. What it did not say is None."""

    method: str
    """`/package.Service/Method`."""
    metadata: Metadata
    request_id: str | None
    idempotency_key: str | None
    """The same for every repeat of one request: it is to have one effect."""
    correlation_id: str | None
    causation_id: str | None
    undoes: str | None
    """The idempotency key of the request that this one undoes."""
    trace: str | None
    """The W3C traceparent of what it leads to: its own span's where spans are taken, else the one that it came with."""


_current: ContextVar[Incoming] = ContextVar("sagakit_grpc_incoming")


def current() -> Incoming:
    """The request that is being answered. LookupError outside of one that `serving` serves."""
    return _current.get()


class ReadsMetadata(grpc.aio.ServerInterceptor):
    """Sets `current` for unary methods, and answers their errors with a status."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return handler
        details: Any = handler_call_details
        incoming = _read(details.method, as_mapping(details.invocation_metadata))

        async def answer(request: Any, context: Any) -> Any:
            with asked(incoming.method, incoming.metadata) as place:
                token = _current.set(replace(incoming, trace=place.trace))
                try:
                    answered = await handler.unary_unary(request, context)
                    place.answered(grpc.StatusCode.OK)
                    return answered
                except grpc.aio.BaseError:
                    place.answered(context.code() or grpc.StatusCode.UNKNOWN)
                    raise
                except Exception as error:
                    status = status_of(error) or _unforeseen(incoming, error)
                    place.answered(status.code, status.details)
                finally:
                    _current.reset(token)
            return await context.abort(status.code, status.details, status.metadata())

        return grpc.unary_unary_rpc_method_handler(
            answer,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


def _read(method: str, metadata: Metadata) -> Incoming:
    return Incoming(
        method,
        metadata,
        request_id=plain(metadata, REQUEST_ID),
        idempotency_key=plain(metadata, IDEMPOTENCY_KEY),
        correlation_id=plain(metadata, CORRELATION_ID),
        causation_id=plain(metadata, CAUSATION_ID),
        undoes=plain(metadata, UNDOES),
        trace=trace_of(metadata),
    )


def _unforeseen(incoming: Incoming, error: Exception) -> Status:
    _log.error("request failed", method=incoming.method, request_id=incoming.request_id, exc_info=error)
    return Status(grpc.StatusCode.UNKNOWN, "this is a fault of the service; its log says more")
