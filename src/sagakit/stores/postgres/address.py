"""Where a store on PostgreSQL is: the server's URL, and the schema in its database."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlunsplit
from zlib import crc32

from sagakit.errors import StoreUnusable
from sagakit.urls import ESCAPED, split

SCHEMA = "sagakit"


class Address(NamedTuple):
    """What a URL says. Printed, it tells no password."""

    dsn: str
    """What the driver is given."""
    schema: str
    name: str
    """The database and the schema in words: without user, password and options."""

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return self.name


def parse(url: str) -> Address:
    """The address that a URL means: `postgresql://user:password@host:5432/database?schema=sagakit`.

    All other options go to the driver (`sslmode`, `target_session_attrs`, several hosts, ...).
    """
    parts = split(url)
    if parts is None:
        raise StoreUnusable(f"a postgresql:// URL that cannot be read: {ESCAPED}")
    try:
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError as error:
        raise StoreUnusable(f"a postgresql:// URL that cannot be read ({error})") from None
    schema = options.pop("schema", "") or SCHEMA
    if len(schema.encode()) > 63 or "\0" in schema:
        raise StoreUnusable(f"the schema {schema!r} in the URL is too long: PostgreSQL knows names of up to 63 bytes")
    dsn = urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(options), ""))
    host = parts.netloc.rpartition("@")[2] or options.get("host", "")
    name = f"postgresql://{host}{parts.path}"
    return Address(dsn, schema, name if schema == SCHEMA else f"{name} (schema {schema})")


def quoted(name: str) -> str:
    """A name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def channel_of(schema: str) -> str:
    """The channel of the notices about a schema."""
    return f"sagakit_{crc32(schema.encode()):08x}"
