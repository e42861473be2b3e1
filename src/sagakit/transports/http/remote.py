"""A step's command for a participant in Python on the far side: `payments.handles(...)(remote(of=..., ...))`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import msgspec

from sagakit.core.codec import Codec
from sagakit.core.messages import Message, pinned
from sagakit.core.participation.messages import Reply
from sagakit.errors import Refused
from sagakit.transports.http.answer import Answer
from sagakit.transports.http.failures import RequestRejected
from sagakit.transports.http.requests import request
from sagakit.transports.http.service import HttpService

_C = TypeVar("_C", bound=Message)
_E = TypeVar("_E", bound=Message)


def remote(
    *, of: type[_C], service: type[HttpService], outcomes: tuple[type[_E], ...], path: str = "/commands", name: str = ""
) -> Callable[..., Coroutine[Any, Any, _E]]:
    """A handler of the command `of` that hands it to a participant behind `sagakit.participant.asgi`, and waits.

    `outcomes`: all events that the participant may answer with, by the same names as there.
    """
    codecs = {cls: Codec(cls, *(pinned(cls) or (cls.__qualname__, 1))) for cls in outcomes}

    def outcome(answer: Answer, command: _C) -> Any:
        if answer.status != 200:
            return None
        try:
            reply = msgspec.json.decode(answer.body, type=Reply)
        except msgspec.MsgspecError as error:
            raise RequestRejected(f"the participant answered {answer.said}: {error}") from None
        if reply.failed is not None:
            raise Refused(reply.failed) if reply.known_not_done else RequestRejected(reply.failed)
        return [_event(codecs, led.type, bytes(led.payload), led.version) for led in reply.events]

    # a participant knows commands and events by the names of their module: the class has the rest of it
    return request("POST", path, of=of, service=service, outcomes=outcomes, outcome=outcome, name=name)


def _event(codecs: dict[type[_E], Codec], type: str, payload: bytes, version: int) -> Any:
    named: Sequence[Codec] = [codec for codec in codecs.values() if codec.name == type]
    found = named or [codec for cls, codec in codecs.items() if pinned(cls) is None and type.endswith(f".{codec.name}")]
    if not found:
        raise RequestRejected(f"the participant answered {type}, which is not declared")
    return found[0].decode(payload, version)
