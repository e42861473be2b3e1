"""A step's command as a request to a service: `payments.handles(...)(request("POST", "/charges", ...))`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Coroutine, Mapping
from string import Formatter
from typing import Any, Literal, TypeAlias, TypeVar, Union, get_args, get_type_hints
from urllib.parse import quote

import msgspec

from sagakit.core.messages import Later, Message, field_names, is_message_type
from sagakit.engine.handlers.context import Context
from sagakit.errors import InvalidMessage
from sagakit.transports.calling import calling
from sagakit.transports.http.answer import Answer
from sagakit.transports.http.callbacks import Callbacks
from sagakit.transports.http.outcomes import RETRYABLE, Rules
from sagakit.transports.http.service import HttpService

_C = TypeVar("_C", bound=Message)
_E = TypeVar("_E", bound=Message)

Method: TypeAlias = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Path: TypeAlias = str | Callable[[_C], str]
Body: TypeAlias = Callable[[_C], Any] | Callable[[_C, str], Any]

WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
CALLBACK = "callback-url"


def request(  # noqa: PLR0913 (options, by name)
    method: Method,
    path: Path[_C],
    *,
    of: type[_C],
    service: type[HttpService],
    then: type[_E] | None = None,
    refusals: Mapping[int, type[_E]] | None = None,
    outcomes: tuple[type[_E], ...] = (),
    outcome: Callable[[Answer, _C], _E | Later | None] | None = None,
    body: Body[_C] | None = None,
    headers: Callable[[_C], Mapping[str, str]] | None = None,
    later: bool = False,
    retryable: Collection[int] = RETRYABLE,
    name: str = "",
) -> Callable[..., Coroutine[Any, Any, _E]]:
    """A handler of the command `of` that sends a request to a service; a provider gives the service by its type.

    `path`: with fields of the command in it (`/orders/{order_id}/charges`), or a function of the command. `body`: what
    is sent as JSON (bytes as they are); by default the command itself, with POST, PUT and PATCH.

    The outcome: 200 to 299 makes a `then`, a status of `refusals` the event that stands there; fields that the answer
    leaves out are taken from the command. 408, 425, 429, 500 and above, and errors of the network are tried again, not
    before `Retry-After`; anything else is given up. `outcome` may say it otherwise: a pure function of the answer and
    the command, None where the rest holds. Its return annotation, or `outcomes`, names its events.

    `later`: 202 means that the answer comes by a callback, to the URL in the header `Callback-Url` (and a second
    argument of `body`); `Callbacks` must be provided. `outcomes` names events that only the callback brings.
    """
    rules = Rules(then, dict(refusals or {}), later, frozenset(retryable), outcome, service.__name__)
    found = _outcomes(then, rules.refusals.values(), outcomes, outcome)
    path_of = _path_of(path, of)
    body_of = _body_of(method, body)

    span = _span_of(method, path)

    async def send(command: Any, context: Context, service: HttpService, url: str) -> Any:
        target = path_of(command)
        with calling(context, *span):
            sent = {**_ids(context, method, target), **(headers(command) if headers else {})}
            if url:
                sent[CALLBACK] = url
            content = body_of(command, context, url)
            if content is not None:
                sent.setdefault("content-type", "application/json")
            answer = await service.send(method, target, headers=sent, body=content, timeout=context.timeout)
        return rules.of(answer, command, context.payload)

    async def at_once(command: Any, context: Context, service: HttpService) -> Any:
        return await send(command, context, service, "")

    async def perhaps_later(command: Any, context: Context, service: HttpService, callbacks: Callbacks) -> Any:
        return await send(command, context, service, callbacks.url(context.message_id, context.correlation_id))

    handler: Any = perhaps_later if later else at_once
    handler.__name__ = handler.__qualname__ = name or _snake(of.__name__)
    returned = Union[(*found, *((Later,) if later else ()))]
    asked = {"callbacks": Callbacks} if later else {}
    handler.__annotations__ = {"command": of, "context": Context, "service": service, **asked, "return": returned}
    return handler


def _outcomes(then: Any, refusals: Collection[type], more: tuple[type, ...], outcome: Any) -> tuple[type, ...]:
    said: Any = None if outcome is None else get_type_hints(outcome).get("return")
    own = [one for one in (get_args(said) or (said,)) if is_message_type(one)]
    several: list[type] = [*([then] if then else []), *refusals, *more, *own]
    found = tuple(dict.fromkeys(several))
    if not found:
        raise TypeError("request(...): name what it leads to: then=, outcomes=, or the return annotation of outcome=")
    return found


def _ids(context: Context, method: str, path: str) -> dict[str, str]:
    """What a request says of the command that it carries."""
    named = {
        "accept": "application/json",
        "accept-encoding": "identity",  # what is small on the way cannot become large here
        "user-agent": "sagakit",
        # not of where the service is: one that has moved between two attempts must know the second as a repeat
        "idempotency-key": context.key(f"{method} {path}"),
        "x-request-id": f"{context.message_id}.{context.attempt}",  # each attempt is a request of its own
        "x-message-id": context.message_id,
        "x-message-type": context.message_type,
        "x-message-version": str(context.message_version),
        "x-correlation-id": context.correlation_id,
        "x-causation-id": context.causation_id,
        "x-undoes": context.undoes,
        "traceparent": context.trace,
    }
    return {name: value for name, value in named.items() if value}


def _span_of(method: str, path: object) -> tuple[str, dict[str, str]]:
    """The name of the span of a request, and what it says: the template of the path, never what was filled in."""
    said = {"http.request.method": method}
    return (f"{method} {path}", {**said, "url.template": path}) if isinstance(path, str) else (method, said)


def _path_of(path: Any, of: type) -> Callable[[Any], str]:
    if not isinstance(path, str):
        return path
    if not path.startswith("/"):
        raise TypeError(f"request(..., {path!r}): a path begins with /")
    names = [name for _, name, _, _ in Formatter().parse(path) if name is not None]
    missing = [name for name in names if name not in field_names(of)]
    if missing:
        raise TypeError(f"request(..., {path!r}): {of.__name__} has no field {missing[0]}")
    return lambda command: path.format(**{name: _segment(name, getattr(command, name)) for name in names})


def _segment(name: str, value: object) -> str:
    """A value as one part of a path: it cannot lead anywhere else."""
    text = str(value)
    if text in ("", ".", ".."):
        raise InvalidMessage(f"{name}: {text!r} makes no path")
    return quote(text, safe="")


def _body_of(method: str, body: Any) -> Callable[[Any, Context, str], bytes | None]:
    if body is None:
        return lambda command, context, url: context.payload if method in WITH_BODY else None
    with_url = len(inspect.signature(body).parameters) > 1

    def made(command: Any, context: Context, url: str) -> bytes | None:
        value = body(command, url) if with_url else body(command)
        return value if value is None or isinstance(value, bytes) else _written(value)

    return made


def _written(value: Any) -> bytes:
    """As JSON, each time alike: services compare the bodies of one key, and a set has another order in each process."""
    try:
        return msgspec.json.encode(value, order="deterministic")
    except TypeError:  # a set of what cannot be compared, or a dict by numbers
        return msgspec.json.encode(value)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
