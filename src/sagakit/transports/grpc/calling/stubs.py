"""What a generated stub can call: found by having it bind its methods to a channel that goes nowhere."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, cast

_Kind: TypeAlias = Literal["unary", "streams"]
_Method: TypeAlias = tuple[_Kind, str]
"""And its path: `/package.Service/Method`."""


class _Nowhere:
    """A channel that notes of which kind a method is."""

    def unary_unary(self, path: str, *_: Any, **__: Any) -> _Method:
        return "unary", path

    def unary_stream(self, path: str, *_: Any, **__: Any) -> _Method:
        return "streams", path

    stream_unary = stream_stream = unary_stream


def service_of(stub: type[Any], method: str) -> str:
    """The full name of the service, `package.Service`.

    Raises TypeError unless a stub has this method, and it takes one request and gives one answer.
    """
    bound = cast("dict[str, _Method]", vars(stub(_Nowhere())))
    if method not in bound:
        known = ", ".join(sorted(bound)) or "nothing"
        raise TypeError(f"{stub.__name__} has no method {method!r}: it has {known}")
    kind, path = bound[method]
    if kind != "unary":
        raise TypeError(f"{stub.__name__}.{method} streams: a command is one request and one answer")
    return path.removeprefix("/").rpartition("/")[0]
