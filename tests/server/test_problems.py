"""Every error has a status, and says no more than a client may know."""

import inspect

import msgspec
import pytest
from litestar.exceptions import InternalServerException, MethodNotAllowedException, NotFoundException

from sagakit import errors
from sagakit.server.problems import Problem, problem_of, problem_response

RAISED_INSIDE = {
    *("NotDone", "TerminalError", "RetryableError", "DeclarationError"),
    *("ProcessBug", "Nondeterminism", "HandlerTimeout", "MissingExtra"),
}
"""Errors that no door raises: a client who meets one has met a bug."""

TOLD = [
    cls
    for name, cls in inspect.getmembers(errors, inspect.isclass)
    if issubclass(cls, Exception) and cls.__module__ == errors.__name__ and name not in RAISED_INSIDE
]


def made(cls: type[Exception]) -> Exception:
    match cls.__name__:
        case "StaleVersion":
            return errors.StaleVersion("orders.Order/o-1", 1, 2)
        case "CursorGone":
            return errors.CursorGone("why", None)
        case "Busy":
            return errors.Busy(20_000, retry_after=7.2)
        case _:
            return cls("why")


@pytest.mark.parametrize("cls", TOLD)
def test_every_error_that_a_door_raises_is_foreseen(cls: type[Exception]) -> None:
    problem = problem_of(made(cls))
    assert problem.error != "internal_error"
    assert problem.message


@pytest.mark.parametrize("cls", [cls for cls in TOLD if issubclass(cls, errors.RetryableError)])
def test_what_may_succeed_later_says_when(cls: type[Exception]) -> None:
    problem = problem_of(made(cls))
    assert problem.status in (409, 503)
    assert problem.retry_after
    assert int(problem_response(problem).headers["Retry-After"]) >= 1


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (errors.KeyReused("why"), 422, "idempotency_key_reused"),
        (errors.KeyInFlight("why"), 409, "idempotency_key_in_flight"),
        (errors.NotFound("why"), 404, "not_found"),
        (errors.InvalidMessage("why"), 400, "invalid_message"),
        (errors.PayloadTooLarge("why"), 413, "payload_too_large"),
        (errors.StaleVersion("orders.Order/o-1", 1, 2), 412, "stale_version"),
        (errors.CommitLost("why"), 503, "store_failed"),
        (errors.SchemaTooNew("why"), 503, "store_unusable"),
        (InternalServerException("client disconnected prematurely"), 400, "client_disconnected"),
        (InternalServerException("why"), 500, "internal_error"),
        (NotFoundException(), 404, "not_found"),
        (MethodNotAllowedException(), 405, "method_not_allowed"),
    ],
)
def test_names_and_statuses(error: Exception, status: int, name: str) -> None:
    problem = problem_of(error)
    assert (problem.status, problem.error) == (status, name)


def test_what_nobody_foresaw_tells_nothing() -> None:
    problem = problem_of(ValueError("the password is swordfish"))
    assert (problem.status, problem.error) == (500, "internal_error")
    assert "swordfish" not in problem.message


def test_a_problem_as_an_answer() -> None:
    answer = problem_response(Problem(503, "busy", "come again", retry_after=1.2))
    assert (answer.status_code, answer.media_type, answer.headers["Retry-After"]) == (503, "application/json", "2")
    assert msgspec.json.decode(answer.content) == {"error": "busy", "message": "come again"}
    assert problem_response(Problem(404, "order_not_found")).content == b'{"error":"order_not_found"}'
