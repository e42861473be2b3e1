"""Tells others over HTTP what happens here: a module with a listener that posts events, signed and tried again.

The form is that of Standard Webhooks (https://www.standardwebhooks.com): the headers `webhook-id`,
`webhook-timestamp` and `webhook-signature`. The body is a CloudEvents 1.0 object as JSON.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from ipaddress import ip_address
from typing import Any, TypeAlias
from urllib.parse import SplitResult, urlsplit

import httpx
import msgspec

from sagakit.core.lifecycle import CommandParked, CompensationFailed, DeadlineNear, ProcessParked, ProcessSettled
from sagakit.core.messages import Message, Seconds, seconds
from sagakit.core.retry import Retry
from sagakit.declare import ListenerDeclaration, Module, Retries
from sagakit.engine.handlers.context import Context
from sagakit.errors import RetryableError, TerminalError

Secrets: TypeAlias = str | bytes | Sequence[str | bytes]
"""A secret, or several while one takes the place of another. `whsec_` and base64, or any text of 16 bytes or more."""

LIFECYCLE_EVENTS: tuple[type[Message], ...] = (
    ProcessSettled,
    ProcessParked,
    CommandParked,
    CompensationFailed,
    DeadlineNear,
)
A_DAY = Retry(12, first=5, factor=3, cap=6 * 3600)
"""Twelve attempts within about a day."""
LATER = frozenset({408, 409, 425, 429})
"""Answers below 500 after which trying again may help."""
PREFIX = "whsec_"
SHORTEST = 16
MOST_SAID = 200
"""Characters of an answer that are kept."""


class WebhookFailed(RetryableError):
    """The receiver could not be reached, or could not take it this time."""


class WebhookRefused(TerminalError):
    """The receiver does not want it: trying again cannot help."""


class InvalidSignature(ValueError):
    """What came was not signed with this secret, or not now."""


class Webhook(Module):
    """Posts these events to a URL. Use it as any module: `App("shop", orders, Webhook(url, secret=...))`.

    `events`: what it takes; by default all that the engine tells of itself. `timeout`: seconds for one attempt.
    An answer of 300 to 499 (without 408, 409, 425 and 429) parks the event with what was said; redirects are not
    followed. The URL is `https`; `http` for loopback alone.
    """

    def __init__(
        self,
        url: str,
        *,
        secret: Secrets,
        events: type[Message] | tuple[type[Message], ...] = LIFECYCLE_EVENTS,
        name: str = "webhook",
        retry: Retries = A_DAY,
        timeout: Seconds = 10.0,
    ) -> None:
        super().__init__(name)
        taken = events if isinstance(events, tuple) else (events,)
        if not taken:
            raise ValueError("events=(): name the events that are posted")
        limit = seconds(timeout)
        if not limit > 0:
            raise ValueError(f"timeout={timeout!r}: give seconds above 0 for one attempt")
        sender, provider = _sender_of(_checked(url), _keys(secret), limit)

        async def post(event: object, context: Context, sender: Sender) -> None:
            await sender.post(context)

        # each webhook is a listener of its own events, with a sender of its own
        several: Any = taken[0]
        for cls in taken[1:]:
            several = several | cls
        post.__annotations__ = {
            "event": several,
            "context": Context,
            "sender": sender,
            "return": None,
        }
        retries = (retry,) if isinstance(retry, Retry) else tuple(retry)
        # not by `on` and `provides`: these remember the names around a function, and one of them is the secret
        self.declared.listeners.append(ListenerDeclaration("post", post, None, retries))
        self.declared.providers.append(provider)


class Sender:
    """Posts events to one URL, over connections that are kept."""

    def __init__(self, url: str, keys: Sequence[bytes], client: httpx.AsyncClient, timeout: float) -> None:
        self._url = url
        self._keys = keys
        self._client = client
        self._timeout = timeout

    async def post(self, context: Context) -> None:
        """Post the event of this context. Raises WebhookFailed or WebhookRefused."""
        body = body_of(context)
        headers = {
            "content-type": "application/json",
            "user-agent": "sagakit",
            "idempotency-key": context.idempotency_key,
            **signed(self._keys, context.message_id, int(time.time()), body),
        }
        try:
            async with asyncio.timeout(self._timeout):
                status, said = await self._send(headers, body)
        except TimeoutError:
            raise WebhookFailed(f"no answer within {self._timeout:g} s") from None
        except httpx.HTTPError as error:
            raise WebhookFailed(f"{type(error).__name__}: {error}".rstrip(": ")) from None
        if 300 <= status < 500 and status not in LATER:
            raise WebhookRefused(f"the receiver answered {said}")
        if not 200 <= status < 300:
            raise WebhookFailed(f"the receiver answered {said}")

    async def _send(self, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
        """The status of the answer, and the beginning of what it says."""
        async with self._client.stream("POST", self._url, content=body, headers=headers) as answer:
            said = bytearray()
            async for part in answer.aiter_bytes():
                said += part
                if len(said) > MOST_SAID * 4:
                    break
            text = " ".join(said.decode(errors="replace").split())[:MOST_SAID]
            where = " (redirects are not followed)" if answer.is_redirect else ""
            return answer.status_code, f"{answer.status_code} {answer.reason_phrase}{where}: {text}".rstrip(": ")


def _sender_of(url: str, keys: Sequence[bytes], timeout: float) -> tuple[type[Sender], Any]:
    """A type of senders that is asked for by one webhook alone, and what provides it."""

    class OwnSender(Sender):
        """The sender of one webhook."""

    async def sender() -> AsyncGenerator[Sender]:
        async with httpx.AsyncClient(timeout=None, follow_redirects=False) as client:  # noqa: S113 (`post` has one for the whole)
            yield OwnSender(url, keys, client, timeout)

    sender.__annotations__ = {"return": AsyncGenerator[OwnSender]}
    return OwnSender, sender


def body_of(context: Context) -> bytes:
    """An event as CloudEvents JSON."""
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": context.message_id,
            "source": "sagakit",
            "type": context.message_type,
            "time": context.recorded_at,
            "datacontenttype": "application/json",
            "correlationid": context.correlation_id,
            "data": msgspec.Raw(context.payload),
        }
    )


# ---------------------------------------------------------------------- signatures


def signed(keys: Sequence[bytes], id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers that say who sent this body, and when: one signature a key."""
    signatures = (b"v1," + _signature(key, id, str(timestamp), body) for key in keys)
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": b" ".join(signatures).decode(),
    }


def verify(
    secret: Secrets,
    headers: Mapping[str, str],
    body: bytes | str,
    tolerance: float = 300,
    *,
    now: float | None = None,
) -> Any:
    """The body of a webhook that was signed with this secret, decoded. For receivers. Raises InvalidSignature.

    `body`: as it came, byte for byte. `tolerance`: seconds that its timestamp may be from now. The same event may
    come more than once: its `webhook-id` is then the same.
    """
    raw = body.encode() if isinstance(body, str) else body
    given = {name.lower(): value for name, value in headers.items()}
    missing = [name for name in ("webhook-id", "webhook-timestamp", "webhook-signature") if not given.get(name)]
    if missing:
        raise InvalidSignature(f"no header {missing[0]}")
    id, timestamp = given["webhook-id"], given["webhook-timestamp"]
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise InvalidSignature("webhook-timestamp: no number of seconds since 1970")
    away = int(timestamp) - (time.time() if now is None else now)
    if abs(away) > tolerance:
        raise InvalidSignature(f"webhook-timestamp: {abs(away):.0f} s from now, at most {tolerance:g}")
    expected = [_signature(key, id, timestamp, raw) for key in _keys(secret)]
    found = [one.removeprefix("v1,").encode() for one in given["webhook-signature"].split() if one.startswith("v1,")]
    if not any(hmac.compare_digest(one, other) for one in expected for other in found):
        raise InvalidSignature("webhook-signature: not made with this secret for this body")
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError as error:
        raise InvalidSignature(f"the body is no JSON: {error}") from None


def _signature(key: bytes, id: str, timestamp: str, body: bytes) -> bytes:
    return base64.b64encode(hmac.digest(key, f"{id}.{timestamp}.".encode() + body, "sha256"))


def _keys(secret: Secrets) -> tuple[bytes, ...]:
    several = (secret,) if isinstance(secret, str | bytes) else tuple(secret)
    if not several:
        raise ValueError("secret: none is given")
    return tuple(map(_key, several))


def _key(secret: str | bytes) -> bytes:
    """The bytes that are signed with. No error shows them."""
    if isinstance(secret, str) and secret.startswith(PREFIX):
        try:
            key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except binascii.Error:
            raise ValueError(f"secret: after {PREFIX!r} comes no base64") from None
    else:
        key = secret.encode() if isinstance(secret, str) else secret
    if len(key) < SHORTEST:
        raise ValueError(f"secret: {len(key)} bytes: give {SHORTEST} at least")
    return key


# ---------------------------------------------------------------------- where to


def _checked(url: str) -> str:
    """The URL, if events may be posted there. No error shows more of it than its host."""
    try:
        parts = urlsplit(url)
        port_is_right = parts.port != 0
    except ValueError as error:
        raise ValueError(f"url: {error}") from None
    if parts.scheme not in ("https", "http") or not parts.hostname or not port_is_right:
        raise ValueError("url: give an absolute one, like https://example.com/hooks")
    if parts.username is not None or parts.password is not None:
        raise ValueError("url: it has a user or a password in it; receivers know you by the signature")
    if parts.scheme == "http" and not _is_loopback(parts):
        raise ValueError(f"url: http to {parts.hostname}: only https keeps what is sent from others' eyes")
    return url


def _is_loopback(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
