"""URLs with a password in them that nobody has escaped: a part of it would be taken for a host, and shown."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

ESCAPED = "a port is a number, and in a user or a password / is written %2F, ? %3F, # %23, @ %40, [ %5B"


def split(url: str) -> SplitResult | None:
    """The parts of a URL; None if it cannot be read, or its host ends within a password."""
    try:
        parts = urlsplit(url)
    except ValueError:  # its words may hold a part of a password
        return None
    login, _, hosts = parts.netloc.rpartition("@")
    ports = [host.rpartition("]")[2].partition(":")[2] for host in hosts.split(",")]
    no_number = not login and any(port and not port.isdecimal() for port in ports)
    beyond = f"{parts.path}{parts.query if '=' not in parts.query else ''}"
    return None if no_number or parts.fragment or "@" in beyond else parts
