"""Which store a URL means. The adapter is imported only when its URL asks."""

from __future__ import annotations

from urllib.parse import parse_qsl

from sagakit.errors import StoreUnusable
from sagakit.ports import Store


def open_store(url: str) -> Store:
    """The store that a URL or a file path means, not opened yet. StoreUnusable says what is wrong with the URL.

    `shop.db`, `sqlite:///shop.db` (relative), `sqlite:////var/lib/shop.db` (absolute),
    `postgresql://user:password@host/database?schema=sagakit`, `memory://`.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return _sqlite(url, url)
    if scheme == "sqlite":
        return _sqlite(url, rest[1:] if rest.startswith("/") else "")
    if scheme == "memory" and not rest.strip("/"):
        from sagakit.stores.memory import MemoryStore

        return MemoryStore()
    if scheme.partition("+")[0] in ("postgres", "postgresql"):
        return _postgres(url)
    raise StoreUnusable(
        f"a URL with {scheme}:// names no store: use a file path, sqlite:///shop.db, postgresql://... or memory://"
    )


def place_of(url: str) -> str:
    """A URL or a file path as it may be shown: of a server without user, password and options."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme in ("sqlite", "memory"):
        return url
    place, _, query = rest.partition("?")
    if "@" in query and "@" not in place:  # a password that is not escaped
        return f"{scheme}://..."
    schema = dict(parse_qsl(query)).get("schema")
    return f"{scheme}://{place.rpartition('@')[2]}{f'?schema={schema}' if schema else ''}"


def repeated(url: str) -> str:
    """A URL or a file path as a command is shown with it: whole, unless a password is in it."""
    _, separator, rest = url.partition("://")
    has_password = ":" in rest.rpartition("@")[0] or "password" in rest.partition("?")[2]
    return place_of(url) if separator and has_password else url


def _sqlite(url: str, path: str) -> Store:
    if path == ":memory:":
        raise StoreUnusable(f"{url!r}: for a store in memory use memory://")
    if not path or path.endswith("/"):
        raise StoreUnusable(
            f"{url!r} names no file: use a path, or sqlite:///shop.db (sqlite:////... where it is absolute)"
        )
    from sagakit.stores.sqlite.store import SqliteStore

    return SqliteStore(path)


def _postgres(url: str) -> Store:
    try:
        from sagakit.stores.postgres.store import PostgresStore
    except ModuleNotFoundError as missing:
        if missing.name != "asyncpg":
            raise
        raise StoreUnusable("a store on PostgreSQL needs asyncpg: install sagakit[postgres]") from None
    return PostgresStore(url)
