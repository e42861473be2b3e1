"""From the answer of a service to the outcome of a command: pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from sagakit.core.codec import Codec
from sagakit.core.messages import Later, field_names, pinned
from sagakit.errors import InvalidMessage
from sagakit.transports.http.answer import Answer
from sagakit.transports.http.failures import RequestFailed, RequestRejected

RETRYABLE = frozenset({408, 425, 429})
"""Answers below 500 after which asking again may help."""
ACCEPTED = 202

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Rules:
    """What the answers of one request mean."""

    then: type | None
    refusals: Mapping[int, type]
    later: bool
    retryable: Collection[int]
    outcome: Callable[[Answer, Any], Any] | None
    """The user's own function; what it makes nothing (None) of, the rest says."""
    service: str

    def of(self, answer: Answer, command: Any, payload: bytes) -> Any:
        """The outcome: an event, or Later. Raises RequestFailed or RequestRejected."""
        own = None if self.outcome is None else self.outcome(answer, command)
        if own is not None:
            return own
        status = answer.status
        if status in self.refusals:
            return _refusal(self.refusals[status], answer, payload)
        if status in self.retryable or status >= 500:
            raise RequestFailed(f"the service answered {answer.said}", answer.retry_after())
        if status == ACCEPTED and self.later:
            return Later(self.service)
        if 200 <= status < 300 and self.then is not None:
            return _success(self.then, answer, payload)
        raise RequestRejected(f"the service answered {answer.said}")


def _success(cls: type, answer: Answer, payload: bytes) -> Any:
    try:
        return _event(cls, _fields.decode(answer.body) if answer.body.strip() else {}, payload)
    except (InvalidMessage, msgspec.MsgspecError) as error:
        raise RequestRejected(f"the service answered {answer.said}, which makes no {cls.__name__}: {error}") from None


def _refusal(cls: type, answer: Answer, payload: bytes) -> Any:
    """A refusal may say no more than why: that is its `reason`, if it has one."""
    try:
        told = _fields.decode(answer.body)
    except msgspec.MsgspecError:
        told: dict[str, msgspec.Raw] = {}
    if "reason" in field_names(cls) and "reason" not in told:
        said = told.get("detail") or told.get("title")  # of a problem (RFC 9457)
        told["reason"] = said or msgspec.Raw(_encode(answer.said))
    try:
        return _event(cls, told, payload)
    except InvalidMessage as error:
        raise RequestRejected(f"the service answered {answer.said}, which makes no {cls.__name__}: {error}") from None


def _event(cls: type, told: Mapping[str, msgspec.Raw], payload: bytes) -> Any:
    """An event of what was answered; fields that the answer leaves out are those of the command, by name."""
    known = _fields.decode(payload)
    fields = {name: known[name] for name in field_names(cls) if name in known} | dict(told)
    name, version = pinned(cls) or (cls.__qualname__, 1)
    return Codec(cls, name, version).decode(_encode(fields))
