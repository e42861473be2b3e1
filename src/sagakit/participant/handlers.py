"""The handlers of a participant: what their annotations name, and how they are called."""

from __future__ import annotations

import asyncio
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sagakit.core.messages import is_message_type
from sagakit.core.participation.messages import Request

CONNECTION = "connection"


@dataclass(frozen=True)
class Handler:
    """One function, and what it takes."""

    function: Callable[..., Any]
    commands: tuple[type, ...]
    outcomes: tuple[type, ...]
    provided: Mapping[str, object]
    request: str
    """The parameter that takes the request; "" if none does."""
    connection: bool
    """It writes in the memory's own transaction."""

    async def call(self, command: Any, request: Request, connection: Any) -> Any:
        """What it answers."""
        asked = dict(self.provided)
        if self.request:
            asked[self.request] = request
        if self.connection:
            asked[CONNECTION] = connection
        if inspect.iscoroutinefunction(self.function):
            return await self.function(command, **asked)
        return await asyncio.to_thread(self.function, command, **asked)


def read_handler(function: Callable[..., Any], names: Mapping[str, Any], provided: Mapping[Any, object]) -> Handler:
    """A handler as its annotations describe it. Raises TypeError where they do not say enough."""
    hints = typing.get_type_hints(function, getattr(function, "__globals__", {}), dict(names))
    first, *others = inspect.signature(function).parameters
    commands, outcomes = _messages(hints.get(first)), _messages(hints.get("return"))
    name = function.__name__
    if not commands:
        raise TypeError(f"{name}: its first parameter must name the command that it takes")
    asked: dict[str, object] = {}
    request, connection = "", False
    for other in others:
        wanted = hints.get(other)
        if wanted is Request:
            request = other
        elif other == CONNECTION:
            connection = True
        elif wanted in provided:
            asked[other] = provided[wanted]
        else:
            raise TypeError(f"{name}: nobody provides {other}: {getattr(wanted, '__qualname__', wanted)}")
    return Handler(function, commands, outcomes, asked, request, connection)


def _messages(hint: Any) -> tuple[type, ...]:
    """The message classes that an annotation names."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType, list, tuple):
        found = [one for part in typing.get_args(hint) for one in _messages(part)]
        return tuple(dict.fromkeys(found))
    return (hint,) if is_message_type(hint) else ()
