"""What an error is to an HTTP client: its status, its name and its words. The only place that says so."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from sagakit import errors
from sagakit.server.showing.views import UnknownPage

if TYPE_CHECKING:
    from litestar.types import Send

_log = structlog.get_logger("sagakit.server")


@dataclass(frozen=True)
class Problem:
    """An answer that is no success. `error` is for programs, `message` for people."""

    status: int
    error: str
    message: str = ""
    retry_after: float | None = None
    """Seconds after which the same request may succeed."""


_BY_TYPE: Mapping[type[Exception], tuple[int, str, float | None]] = {
    errors.InvalidMessage: (400, "invalid_message", None),
    UnknownPage: (400, "unknown_page", None),
    errors.PayloadTooLarge: (413, "payload_too_large", None),
    errors.UnknownMessage: (404, "unknown_message", None),
    errors.NotFound: (404, "not_found", None),
    errors.NotPossible: (409, "not_possible", None),
    errors.CursorGone: (410, "cursor_gone", None),
    errors.StaleVersion: (412, "stale_version", None),
    errors.KeyReused: (422, "idempotency_key_reused", None),
    errors.Refused: (422, "refused", None),
    errors.OutcomeUnknown: (502, "outcome_unknown", None),
    errors.KeyInFlight: (409, "idempotency_key_in_flight", 1),
    errors.Busy: (503, "busy", 1),
    errors.Stopping: (503, "stopping", 1),
    errors.WaitTimeout: (503, "not_yet", 1),
    errors.StoreFailed: (503, "store_failed", 1),
    errors.StoreUnusable: (503, "store_unusable", None),
}
"""The nearest class counts."""

_BY_STATUS: Mapping[int, str] = {
    400: "invalid_request",
    401: "unauthorized",
    404: "not_found",
    405: "method_not_allowed",
    413: "payload_too_large",
    415: "unsupported_media_type",
}


def problem_of(error: Exception) -> Problem:
    """What a client is told of an error; of one that nobody foresaw, nothing but that."""
    for cls in type(error).__mro__:
        if cls in _BY_TYPE:
            status, name, retry_after = _BY_TYPE[cls]
            asked = error.retry_after if isinstance(error, errors.RetryableError) else None
            return Problem(status, name, str(error), retry_after if asked is None else asked)
    if isinstance(error, HTTPException) and "client disconnected" in error.detail:
        return Problem(400, "client_disconnected", "the body did not come whole")  # nobody is there to read it
    if isinstance(error, ValidationException):
        return Problem(400, "invalid_request", _invalid(error))
    if isinstance(error, HTTPException) and error.status_code < 500:
        return Problem(error.status_code, _BY_STATUS.get(error.status_code, "invalid_request"), error.detail)
    return Problem(500, "internal_error", "this is a fault of the server; its log says more")


def _invalid(error: ValidationException) -> str:
    """Which parameters do not fit, and why."""
    found: Any = error.extra or ()
    told = [f"{one['key']}: {one['message']}" for one in found if isinstance(one, dict) and "key" in one]
    return "; ".join(told) or error.detail


def problem_response(problem: Problem) -> Response[bytes]:
    """The answer that carries a problem."""
    body = {"error": problem.error}
    if problem.message:
        body["message"] = problem.message
    return Response(
        msgspec.json.encode(body), status_code=problem.status, media_type="application/json", headers=_retry(problem)
    )


def _retry(problem: Problem) -> dict[str, str]:
    return {} if problem.retry_after is None else {"Retry-After": str(max(1, math.ceil(problem.retry_after)))}


class ProblemView(msgspec.Struct):
    """An answer that is no success, as RFC 9457 has it."""

    type: str
    """`urn:sagakit:problem:` and the name of the problem."""
    title: str
    status: int
    detail: str
    error: str
    """The name of the problem, for programs."""


def problem_json(problem: Problem) -> Response[bytes]:
    """The same as application/problem+json (RFC 9457): the API answers all errors so, the framework's own included."""
    view = ProblemView(
        f"urn:sagakit:problem:{problem.error}",
        problem.error.replace("_", " "),
        problem.status,
        problem.message or problem.error.replace("_", " "),
        problem.error,
    )
    return Response(
        msgspec.json.encode(view),
        status_code=problem.status,
        media_type="application/problem+json",
        headers=_retry(problem),
    )


async def send_problem(send: Send, problem: Problem) -> None:
    """The same where no route is asked."""
    answer = problem_json(problem)
    headers = {"content-type": "application/problem+json", **answer.headers}
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": raw})  # type: ignore[typeddict-item]
    await send({"type": "http.response.body", "body": answer.content, "more_body": False})


def answer_problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The exception handler of every route of the API."""
    return _answered(request, error, problem_json)


def answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The exception handler of routes whose contract has problems of its own shape."""
    return _answered(request, error, problem_response)


def _answered(
    request: Request[Any, Any, Any], error: Exception, draw: Callable[[Problem], Response[bytes]]
) -> Response[bytes]:
    """What nobody foresaw is logged."""
    problem = problem_of(error)
    if problem.status >= 500 and problem.retry_after is None:
        _log.error("request failed", method=request.method, path=request.url.path, exc_info=error)
    response = draw(problem)
    if isinstance(error, HTTPException):
        response.headers.update(error.headers or {})
    return response
