"""What routes may answer besides success, for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping

from litestar.openapi.datastructures import ResponseSpec

from sagakit.server.problems import ProblemView

JSON = "application/problem+json"


def problems(*statuses: int) -> Mapping[int, ResponseSpec]:
    """Problems with these statuses."""
    return {status: ResponseSpec(ProblemView, False, "A problem.", JSON) for status in statuses}


PROBLEMS = problems(400, 404, 405, 503)
COMMAND = problems(400, 404, 405, 409, 412, 413, 415, 422, 502, 503)
STREAM = {200: ResponseSpec(None, False, "Server-sent events.", "text/event-stream"), **PROBLEMS}
