"""The trace that a request belongs to (W3C Trace Context)."""

from __future__ import annotations

import re
from typing import Any

from litestar import Request

_FORM = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def traceparent(request: Request[Any, Any, Any]) -> str | None:
    """The `traceparent` header; None if there is none, or one that is not valid: it is to be ignored then."""
    sent = request.headers.get("traceparent", "").strip()
    return sent if _FORM.fullmatch(sent) else None
