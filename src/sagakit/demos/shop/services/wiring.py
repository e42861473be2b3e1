"""The seam between the shop's processes: which there are, where they are, and how one reaches what runs in another."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol, TypeAlias, get_args

from sagakit import App, Engine, Module, TerminalError, WaitTimeout
from sagakit.demos.shop.order_book import Found
from sagakit.ports import Link

Service: TypeAlias = Literal["gateway", "inventory", "payment", "order"]
SERVICES: Sequence[Service] = get_args(Service)
_NAMED: Mapping[str, Service] = {service: service for service in SERVICES}
PORTS: Mapping[Service, int] = {"gateway": 8080, "order": 9090, "payment": 9091, "inventory": 9092}


class NoAddress(TerminalError):
    """What was given is no address of a service."""


class OrdersAway(WaitTimeout):
    """Nobody can say now how an order is."""


class Wiring(Protocol):
    """How the processes reach one another. Messages, modules and the process of an order know nothing of it."""

    def away(self, service: Service) -> Module:
        """The module of another process, as the gateway has it: its commands go there, their outcomes come back."""
        ...

    def join(self, service: Service, app: App) -> None:
        """Add to the app of a process what brings the others' messages."""
        ...

    def links(self, service: Service) -> Sequence[Link]:
        """What runs beside the engine of a process, to look after the others."""
        ...

    async def find_order(self, order_id: str) -> Found:
        """An order as the process that keeps it says. Raises NotFound, OrdersAway."""
        ...

    def answering(self, service: Service, engine: Engine, port: int) -> AbstractAsyncContextManager[str]:
        """Answer what others ask of this process; where, in words."""
        ...


def addresses(given: Sequence[str]) -> Mapping[Service, str]:
    """Where the services are, `host:port`: as given (`payment=host:port`), by environment, or on this machine."""
    found: dict[Service, str] = {
        service: os.environ.get(variable(service)) or f"127.0.0.1:{PORTS[service]}" for service in SERVICES
    }
    for one in given:
        name, _, address = one.partition("=")
        service = _NAMED.get(name)
        if service is None:
            raise NoAddress(f"{one}: give NAME=HOST:PORT, with a NAME of {', '.join(SERVICES[1:])}")
        found[service] = address
    for service, address in found.items():
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            raise NoAddress(f"{service}={address}: give HOST:PORT, such as 127.0.0.1:{PORTS[service]}")
    return found


def variable(service: Service) -> str:
    """The environment variable that says where a service is."""
    return f"SAGAKIT_SHOP_{service.upper()}"
