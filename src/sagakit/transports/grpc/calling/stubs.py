"""What a generated stub can call: found by having it bind its methods to a channel that goes nowhere."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, cast

_Kind: TypeAlias = Literal["unary", "streams"]


class _Nowhere:
    """A channel that notes of which kind a method is."""

    def unary_unary(self, *_: Any, **__: Any) -> _Kind:
        return "unary"

    def unary_stream(self, *_: Any, **__: Any) -> _Kind:
        return "streams"

    stream_unary = stream_stream = unary_stream


def check_method(stub: type[Any], method: str) -> None:
    """Raise TypeError unless a stub has this method, and it takes one request and gives one answer."""
    bound = cast("dict[str, _Kind]", vars(stub(_Nowhere())))
    if method not in bound:
        known = ", ".join(sorted(bound)) or "nothing"
        raise TypeError(f"{stub.__name__} has no method {method!r}: it has {known}")
    if bound[method] != "unary":
        raise TypeError(f"{stub.__name__}.{method} streams: a command is one request and one answer")
