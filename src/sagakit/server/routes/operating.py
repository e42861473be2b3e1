"""The operator's hands over HTTP: why something stands still, and what is done about it, each with a reason."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias, cast

from litestar import Request, get, post
from litestar.exceptions import ClientException
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, PathParameter, QueryParameter
from msgspec import Struct

from sagakit.core.commit import DeliveryState, PauseScope
from sagakit.core.queries import DeliveryQuery
from sagakit.engine.engine import Engine
from sagakit.engine.operating.acting import Acted
from sagakit.engine.operating.operator import DeliveryAction, InstanceAction, Retried
from sagakit.server.bodies import check_type, expected_version, payload_of
from sagakit.server.routes.answers import PROBLEMS, problems
from sagakit.server.showing.finding import find_instance
from sagakit.server.showing.standing import (
    ExplanationView,
    OutstandingDetail,
    OutstandingView,
    PauseView,
    StuckView,
    explanation_view,
    outstanding_detail,
    outstanding_view,
    pause_view,
    stuck_view,
)
from sagakit.server.showing.views import Page, place

Asked: TypeAlias = Request[Any, Any, Any]

ACTION = problems(400, 404, 405, 409, 412, 413, 415, 503)
NOBODY = "http"
"""Who acts, where a request does not say."""

Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="At most so many.")]
Next = Annotated[str | None, QueryParameter(description="The `next` of the page before.")]
Id = Annotated[str, PathParameter(description="Its id.")]
Action = Annotated[str, PathParameter(description="What to do.")]
Number = Annotated[int, PathParameter(ge=0, le=2**63 - 1, description="The number of the delivery.")]
Text = Annotated[str | None, QueryParameter(max_length=500)]


class ActionBody(Struct, forbid_unknown_fields=True):
    """An action on an instance. `step`: of skip_step, give_result, rerun_failed; `message`, `payload`: give_result."""

    reason: str
    by: str = NOBODY
    step: str | None = None
    message: str | None = None
    payload: dict[str, Any] | None = None


class DeliveryActionBody(Struct, forbid_unknown_fields=True):
    """An action on a delivery. All but `reason` and `by` are for edit."""

    reason: str
    by: str = NOBODY
    payload: dict[str, Any] | None = None
    message: str | None = None
    keep_key: bool = False
    undo_first: bool = False


class RetryBody(Struct, forbid_unknown_fields=True):
    """Retry all parked and retrying deliveries that match."""

    reason: str
    by: str = NOBODY
    state: DeliveryState | None = None
    consumer: str | None = None
    type: str | None = None
    lane: str | None = None
    error: str | None = None
    """Part of the last error."""


class PauseBody(Struct, forbid_unknown_fields=True):
    """What to pause or resume: everything, a module or a process type by name, an instance by id."""

    scope: PauseScope
    reason: str
    name: str = ""
    by: str = NOBODY


def operating(engine: Engine) -> list[HTTPRouteHandler]:
    """All routes."""
    return [*_instances(engine), *_deliveries(engine), *_pauses(engine)]


def _instances(engine: Engine) -> list[HTTPRouteHandler]:
    operator = engine.operator

    @get(
        "/api/v1/processes/{id:str}/explain",
        responses=PROBLEMS,
        summary="Why it stands where it stands",
        tags=["processes"],
    )
    async def explain_process(id: Id) -> ExplanationView:
        return explanation_view(await operator.explain(await _id_of(engine, id)))

    @post(
        "/api/v1/processes/{id:str}/actions/{action:str}",
        responses=ACTION,
        status_code=200,
        summary="Do something to a process",
        tags=["processes"],
    )
    async def act_on_process(request: Asked, id: Id, action: Action, data: JSONBody[ActionBody]) -> Acted:
        check_type(request)
        return await operator.act(
            await _id_of(engine, id),
            cast("InstanceAction", action.replace("-", "_")),
            by=data.by,
            reason=data.reason,
            expected_version=expected_version(request),
            step=data.step,
            message=data.message,
            payload=payload_of(await request.body()),
        )

    @get("/api/v1/stuck", responses=PROBLEMS, summary="Processes that do not move", tags=["processes"])
    async def list_stuck(limit: Limit = 50, next: Next = None) -> Page[StuckView]:
        (after,) = place(next, 1) or (None,)
        found = await operator.stuck(limit=limit + 1, after=after)
        rest = str(found[limit - 1].number) if len(found) > limit else None
        return Page([stuck_view(one) for one in found[:limit]], rest)

    return [explain_process, act_on_process, list_stuck]


async def _id_of(engine: Engine, id: str) -> str:
    """The id of an instance, which may be named by its key."""
    return (await find_instance(engine.store, id)).row.id


def _deliveries(engine: Engine) -> list[HTTPRouteHandler]:
    operator, store = engine.operator, engine.store

    @get("/api/v1/deliveries", responses=PROBLEMS, summary="List what is still to be handled", tags=["deliveries"])
    async def list_deliveries(
        state_: Annotated[DeliveryState | None, QueryParameter(name="state")] = None,
        consumer: Text = None,
        type: Text = None,
        lane: Text = None,
        error: Annotated[str | None, QueryParameter(max_length=500, description="Part of the last error.")] = None,
        limit: Limit = 50,
        next: Next = None,
    ) -> Page[OutstandingView]:
        (last,) = place(next, 1) or (0,)
        query = DeliveryQuery(state_, consumer, type, lane, error=error, limit=limit + 1, after=last)
        found = await store.find_deliveries(query)
        rest = str(found[limit - 1].id) if len(found) > limit else None
        return Page([outstanding_view(one) for one in found[:limit]], rest)

    @get("/api/v1/deliveries/{id:int}", responses=PROBLEMS, summary="Look at one", tags=["deliveries"])
    async def show_delivery(id: Number) -> OutstandingDetail:
        return outstanding_detail(*await operator.explain_delivery(id))

    @post(
        "/api/v1/deliveries/{id:int}/actions/{action:str}",
        responses=ACTION,
        status_code=200,
        summary="Do something to one",
        tags=["deliveries"],
    )
    async def act_on_delivery(request: Asked, id: Number, action: Action, data: JSONBody[DeliveryActionBody]) -> Acted:
        check_type(request)
        return await operator.act_on_delivery(
            id,
            cast("DeliveryAction", action),
            by=data.by,
            reason=data.reason,
            payload=payload_of(await request.body()),
            message=data.message,
            keep_key=data.keep_key,
            undo_first=data.undo_first,
        )

    @post(
        "/api/v1/deliveries/actions/retry",
        responses=ACTION,
        status_code=200,
        summary="Retry all like this",
        tags=["deliveries"],
    )
    async def retry_deliveries(request: Asked, data: JSONBody[RetryBody]) -> Retried:
        check_type(request)
        if data.state not in (None, "parked", "retrying"):
            raise ClientException(f"state: what is {data.state} is not retried: parked and retrying are")
        query = DeliveryQuery(data.state, data.consumer, data.type, data.lane, error=data.error, limit=500)
        return await operator.retry_all(query, by=data.by, reason=data.reason)

    return [list_deliveries, show_delivery, act_on_delivery, retry_deliveries]


def _pauses(engine: Engine) -> list[HTTPRouteHandler]:
    operator = engine.operator

    @get("/api/v1/pauses", responses=PROBLEMS, summary="What is paused", tags=["pauses"])
    async def list_pauses() -> Page[PauseView]:
        return Page([pause_view(one) for one in operator.pauses()], None)

    @post("/api/v1/pauses", responses=ACTION, status_code=200, summary="Pause", tags=["pauses"])
    async def pause(request: Asked, data: JSONBody[PauseBody]) -> Acted:
        check_type(request)
        return await operator.pause(data.scope, data.name, by=data.by, reason=data.reason)

    @post("/api/v1/pauses/resume", responses=ACTION, status_code=200, summary="Resume", tags=["pauses"])
    async def resume(request: Asked, data: JSONBody[PauseBody]) -> Acted:
        check_type(request)
        return await operator.resume(data.scope, data.name, by=data.by, reason=data.reason)

    return [list_pauses, pause, resume]
