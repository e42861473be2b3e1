"""Where the API itself is, as its clients see it: links and Location name that place."""

from __future__ import annotations

from typing import Any

from litestar import Request

MOUNT = "sagakit_mount"
"""The key of a scope under which the path of the mount is kept."""


def root_of(request: Request[Any, Any, Any]) -> str:
    """The path under which the API is mounted, or that a proxy strips; "" for none."""
    scope: Any = request.scope
    return str(scope.get(MOUNT) or scope.get("root_path") or "").rstrip("/")


def link(request: Request[Any, Any, Any], path: str) -> str:
    """A path of the API as clients have to write it."""
    return f"{root_of(request)}{path}"
