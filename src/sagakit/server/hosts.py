"""Who may ask a server that asks nobody who they are: this machine, by its own names, and names that are declared.

A page in a browser on this machine can have its own name lead here (DNS rebinding), and could then read and change all
that is served; but the name stays in `Host`. A page of another origin can post without asking first; `Origin` names it.
Starlette's TrustedHostMiddleware and Litestar's allowed hosts know neither 127.0.0.0/8 nor addresses in brackets, let
no path through, look at no `Origin`, and answer without a problem: so this is our own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple

from sagakit.errors import TerminalError
from sagakit.server.problems import Problem, send_problem

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Receive, Scope, Send

ENVIRONMENT = "SAGAKIT_ALLOWED_HOSTS"
OPEN = frozenset({"/health/live", "/health/ready", "/metrics"})
"""What probes and Prometheus ask by whatever name they know: it holds nobody's data, and changes nothing."""
_SIGNED = re.compile(r"/api/v1/commands/[^/]+/answer")
"""Answers of participants: their URL has a token that no page knows, and the name that participants reach it by."""
_LOOKING = frozenset({"GET", "HEAD", "OPTIONS"})
"""These change nothing, and a page of another origin cannot read what they answer."""
_PLACE = re.compile(r"(?P<name>\[[\da-f:.]+\]|[\w-][\w.-]*)(:(?P<port>\d{1,5}))?", re.IGNORECASE | re.ASCII)
_ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<place>[^/?#@]+)", re.ASCII | re.IGNORECASE)
_PORTS = {"http": 80, "https": 443}


class InvalidHost(TerminalError):
    """What was declared is no host; the text says what to write."""


class _Place(NamedTuple):
    name: str
    port: int | None


class Hosts:
    """The names that a server may be asked by: those of this machine, and those that are declared.

    `declared`: each `name` or `name:port`, as a browser has it in `Host`. Raises InvalidHost.
    """

    def __init__(self, declared: Iterable[str] = ()) -> None:
        self._declared = [_declared(one) for one in declared]

    def permits(self, host: str) -> bool:
        """Whether a `Host` is one of them."""
        place = _place(host)
        return place is not None and (_is_this_machine(place.name) or self._declares(place))

    def permits_origin(self, origin: str, host: str) -> bool:
        """Whether a page of this `Origin` may change something at this `Host`: one of its own, or of a declared one."""
        found = _ORIGIN.fullmatch(origin)
        of, at = None if found is None else _place(found["place"]), _place(host)
        if found is None or of is None or at is None:
            return False
        usual = _PORTS[found["scheme"].lower()]
        of, at = _Place(of.name, of.port or usual), _Place(at.name, at.port or usual)
        return of == at or self._declares(of)

    def _declares(self, place: _Place) -> bool:
        return any(place.name == one.name and one.port in (None, place.port) for one in self._declared)


THIS_MACHINE = Hosts()


def allowed(environment: Mapping[str, str]) -> Hosts:
    """The names of this machine, and those in SAGAKIT_ALLOWED_HOSTS, between commas or spaces. Raises InvalidHost."""
    return Hosts(environment.get(ENVIRONMENT, "").replace(",", " ").split())


def guarded(app: ASGIApp, hosts: Hosts = THIS_MACHINE) -> ASGIApp:
    """The same, for those who ask by one of these names; others get a problem."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        problem = None
        if scope["type"] == "http" and not _is_for_anybody(scope["method"], scope["path"]):
            problem = _problem(scope["method"], scope["headers"], hosts)
        if problem is None:
            await app(scope, receive, send)
        else:
            await send_problem(send, problem)

    return answer


def _is_for_anybody(method: str, path: str) -> bool:
    return (method in _LOOKING and path in OPEN) or _SIGNED.fullmatch(path) is not None


def _problem(method: str, headers: Iterable[tuple[bytes, bytes]], hosts: Hosts) -> Problem | None:
    told = [(name.lower(), value.decode("latin-1").strip()) for name, value in headers]
    host = ", ".join(value for name, value in told if name == b"host")  # of several, none is believed
    if not hosts.permits(host):
        return Problem(
            421,
            "foreign_host",
            f"Host is {host[:200]!r}, which is no name of this machine, and nobody is asked who they are here: "
            f"ask at localhost or 127.0.0.1, or declare the name in {ENVIRONMENT}",
        )
    foreign = [value for name, value in told if name == b"origin" and not hosts.permits_origin(value, host)]
    if foreign and method not in _LOOKING:
        return Problem(
            403,
            "foreign_origin",
            f"Origin is {foreign[0][:200]!r}, which is not {host}, and nobody is asked who they are here: "
            f"send it from no page, or from one of {host}, or declare the host of the page in {ENVIRONMENT}",
        )
    return None


def _is_this_machine(name: str) -> bool:
    with suppress(ValueError):
        return name == "localhost" or ip_address(name.strip("[]")).is_loopback
    return False


def _place(text: str) -> _Place | None:
    found = _PLACE.fullmatch(text)
    if found is None:
        return None
    return _Place(found["name"].lower().removesuffix("."), int(found["port"]) if found["port"] else None)


def _declared(text: str) -> _Place:
    place = _place(text)
    if place is None:
        raise InvalidHost(f"{ENVIRONMENT}: {text!r} is no host: write shop.example, or shop.example:8443 for one port")
    return place
