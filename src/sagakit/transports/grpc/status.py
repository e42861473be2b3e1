"""What a status is to a step, and what an error is to a caller: the only place that says so."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import grpc
import grpc.aio

from sagakit import errors
from sagakit.errors import RetryableError, TerminalError
from sagakit.transports.grpc.metadata import PUSHBACK, Metadata, as_mapping

Code = grpc.StatusCode

RETRYABLE: Collection[grpc.StatusCode] = frozenset(
    {
        Code.CANCELLED,  # by the service or a proxy: who gives up here is cancelled and sees no status
        Code.UNKNOWN,  # what a service that raises answers; the key keeps a repeat from a second effect
        Code.DEADLINE_EXCEEDED,
        Code.RESOURCE_EXHAUSTED,
        Code.ABORTED,
        Code.INTERNAL,  # also what a stream that was reset becomes
        Code.UNAVAILABLE,
    }
)
"""Every other status says something of the request itself, or of who asks: the same request meets it again."""


class CallFailed(RetryableError):
    """A call came to no answer, and may if it is made again. `code`, `details` and `metadata` are the service's."""

    def __init__(self, code: grpc.StatusCode, details: str, metadata: Metadata, wait: float | None = None) -> None:
        super().__init__(f"{code.name}: {details}")
        self.code, self.details, self.metadata = code, details, metadata
        self.retry_after = wait


class CallRejected(TerminalError):
    """The service will not answer this call, however often it is made. `code`, `details` and `metadata` are its."""

    def __init__(self, code: grpc.StatusCode, details: str, metadata: Metadata) -> None:
        super().__init__(f"{code.name}: {details}")
        self.code, self.details, self.metadata = code, details, metadata


def failure_of(error: grpc.aio.AioRpcError, retryable: Collection[grpc.StatusCode]) -> CallFailed | CallRejected:
    """The error of a call, as its handler raises it."""
    code, details = error.code(), error.details() or "no details"
    metadata = as_mapping(tuple(error.trailing_metadata() or ()))
    wait, never = _pushback(metadata)
    if code not in retryable or never:
        return CallRejected(code, details, metadata)
    return CallFailed(code, details, metadata, wait)


def _pushback(metadata: Metadata) -> tuple[float | None, bool]:
    """Seconds that the service wants to be left alone, and whether it wants no further attempt (gRFC A6)."""
    asked = metadata.get(PUSHBACK)
    if asked is None:
        return None, False
    try:
        wait = int(asked)
    except ValueError:
        return None, True
    return (wait / 1000, False) if wait >= 0 else (None, True)


@dataclass(frozen=True)
class Status:
    """The status that a service answers with."""

    code: grpc.StatusCode
    details: str
    wait: float | None = None
    """Seconds after which the caller may come again."""

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with it."""
        return () if self.wait is None else ((PUSHBACK, str(round(self.wait * 1000))),)


_BY_TYPE: Mapping[type[Exception], grpc.StatusCode] = {
    errors.InvalidMessage: Code.INVALID_ARGUMENT,
    errors.PayloadTooLarge: Code.INVALID_ARGUMENT,
    errors.KeyReused: Code.INVALID_ARGUMENT,
    errors.UnknownMessage: Code.UNIMPLEMENTED,
    errors.NotFound: Code.NOT_FOUND,
    errors.NotPossible: Code.FAILED_PRECONDITION,
    errors.StaleVersion: Code.FAILED_PRECONDITION,
    errors.NotDone: Code.FAILED_PRECONDITION,
    errors.KeyInFlight: Code.ABORTED,
    errors.Busy: Code.RESOURCE_EXHAUSTED,
    errors.Stopping: Code.UNAVAILABLE,
    errors.StoreFailed: Code.UNAVAILABLE,
    errors.StoreUnusable: Code.UNAVAILABLE,
    errors.WaitTimeout: Code.DEADLINE_EXCEEDED,
    RetryableError: Code.UNAVAILABLE,
    TerminalError: Code.FAILED_PRECONDITION,
}
"""The nearest class counts."""


def status_of(error: Exception) -> Status | None:
    """What a caller is told of an error; None: nobody foresaw it."""
    wait = error.retry_after if isinstance(error, RetryableError) else None
    for cls in type(error).__mro__:
        if cls in _BY_TYPE:
            return Status(_BY_TYPE[cls], str(error), wait)
    return None
