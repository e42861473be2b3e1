"""How this store connects to PostgreSQL, and what the server's errors mean in words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeAlias, cast

import asyncpg  # pyright: ignore[reportMissingTypeStubs]

from sagakit.errors import StoreFailed, StoreUnusable
from sagakit.stores.postgres.address import Address, quoted

CONNECT_WITHIN = 10.0
"""Seconds for a connection to be made."""
END_WITHIN = 1.0
OLDEST_SERVER = 140_000

SETTINGS = {
    "application_name": "sagakit",
    "synchronous_commit": "on",  # an acknowledgement follows the sync
    "default_transaction_isolation": "read committed",
    "client_min_messages": "warning",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "10s",
    "jit": "off",  # it compiles small statements for longer than they run
}
"""The settings of every connection."""

BY_INDEX = {
    # Plans outlive what they were made of: tables that were empty, or had no statistics. So all is looked up by an
    # index, row by row, and pages are read in its order: nothing takes a whole table for less. The deliveries are few
    # rows, but in a file that grows between two runs of VACUUM.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
"""Of connections that an engine works with, to write and to read."""

MISMATCH, EXPELLED, REROUTED = "SK001", "SK002", "SK003"
"""What write_1 says where a group cannot be written as it is."""

AGAIN = frozenset({"40001", "40P01", "55P03"})
"""Serialization failure, deadlock, lock not available: nothing was written, and it may succeed at once."""

Record: TypeAlias = Sequence[Any]


class Statement(Protocol):
    """A prepared statement."""

    async def fetchval(self, *arguments: Any, timeout: float | None = ...) -> Any: ...


class Connection(Protocol):
    """What this store uses of asyncpg's connections, whose own types are not complete."""

    async def fetch(self, query: str, *arguments: Any, timeout: float | None = ...) -> list[Record]: ...
    async def fetchrow(self, query: str, *arguments: Any, timeout: float | None = ...) -> Record | None: ...
    async def fetchval(self, query: str, *arguments: Any, timeout: float | None = ...) -> Any: ...
    async def execute(self, query: str, *arguments: Any, timeout: float | None = ...) -> str: ...
    async def executemany(self, query: str, rows: Sequence[Sequence[Any]]) -> None: ...
    async def prepare(self, query: str) -> Statement: ...
    async def add_listener(self, channel: str, callback: Callable[..., None]) -> None: ...
    def add_termination_listener(self, callback: Callable[[Any], None]) -> None: ...
    def transaction(self, *, isolation: str | None = ...) -> Any: ...
    def is_closed(self) -> bool: ...
    def terminate(self) -> None: ...
    async def close(self, *, timeout: float | None = ...) -> None: ...
    def get_settings(self) -> Any: ...


async def connect(address: Address, *, opening: bool = False, settings: Mapping[str, str] | None = None) -> Connection:
    """A connection whose names are looked up in the store's schema. `opening`: what is wrong now will stay wrong."""
    given = SETTINGS | {"search_path": f"{quoted(address.schema)}, pg_catalog"} | dict(settings or {})
    with explained(address, opening=opening):
        return await _connect(address.dsn, timeout=CONNECT_WITHIN, server_settings=given)


_connect = cast("Callable[..., Awaitable[Connection]]", asyncpg.connect)  # pyright: ignore[reportUnknownMemberType]


async def end(connection: Connection) -> None:
    """End a connection in order, or else at once."""
    try:
        await connection.close(timeout=END_WITHIN)
    except Exception:
        connection.terminate()


@contextmanager
def explained(address: Address, *, opening: bool = False) -> Generator[None]:
    """Turn the driver's errors into the store's, with the address and the mend."""
    try:
        yield
    except (StoreFailed, StoreUnusable):
        raise
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, ValueError, EOFError) as error:
        raise explain(error, address, opening=opening) from error


def is_broken(error: BaseException) -> bool:
    """Whether the connection has ended with this, so that nobody knows what became of a statement."""
    if isinstance(error, asyncpg.PostgresError):
        state = sqlstate(error)
        return state.startswith("08") or (state.startswith("57P") and state != "57P03")
    if isinstance(error, ValueError):  # what was to be sent cannot be
        return False
    return isinstance(error, asyncpg.InterfaceError | OSError | TimeoutError | EOFError)


def sqlstate(error: BaseException) -> str:
    """The server's word for an error."""
    return str(getattr(error, "sqlstate", None) or "")


def is_unwritable_text(error: BaseException) -> bool:
    """Whether some text holds what the server cannot keep: NUL, or half of a surrogate pair."""
    return sqlstate(error) == "22021" or "codec can't encode" in str(error)


def writable(value: Any) -> Any:
    """The same with other signs in place of what the server cannot keep."""
    if isinstance(value, str):
        return value.replace("\0", "\u2400").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list | tuple):
        values = [writable(one) for one in cast("Sequence[Any]", value)]
        return values if isinstance(value, list) else tuple(values)
    return value


def explain(error: BaseException, address: Address, *, opening: bool = False) -> StoreFailed | StoreUnusable:
    """The store's error for one of the driver's."""
    state, said = sqlstate(error), (str(error) or type(error).__name__).splitlines()[0]
    for states, lasting, text in _MEANINGS:
        if state and state.startswith(states):
            make = StoreUnusable if lasting or (lasting is None and opening) else StoreFailed
            return make(text.format(address=address, said=said))
    if is_broken(error) or isinstance(error, OSError):
        return StoreFailed(f"{address} does not answer ({said}): check that the server runs and can be reached")
    if isinstance(error, ValueError | asyncpg.InterfaceError):
        return StoreUnusable(f"{address} cannot be used ({said}): check the URL")
    return StoreFailed(f"{address} could not be read or written ({said}): see the server's log")


_MEANINGS: list[tuple[tuple[str, ...], bool | None, str]] = [
    # the states; whether it lasts (None: when it is met while opening); the text
    (
        ("28P01", "28000"),
        None,
        "{address} refuses this user ({said}): check user and password in the URL, and the server's pg_hba.conf",
    ),
    (("3D000",), None, "{address} has no such database ({said}): create it, or check the URL"),
    (
        ("42501",),
        None,
        "{address} does not let this user do it ({said}): grant it the right to create its schema and to use it",
    ),
    (
        ("25006",),
        None,
        "{address} takes no writes ({said}): give the primary's URL, or all hosts and target_session_attrs=read-write",
    ),
    (("42704",), None, "{address} does not know what is asked of it ({said}): check the options in the URL"),
    (("53100",), False, "the disk of {address} is full, nothing was written: free some space, then it goes on"),
    (("53300",), False, "{address} takes no more connections ({said}): raise max_connections, or use fewer workers"),
    (("53",), False, "{address} is short of resources ({said}), nothing was written"),
    (("57P03",), False, "{address} is starting or stopping ({said})"),
    (("57014",), False, "{address}: somebody has cancelled a statement, nothing was written ({said})"),
    (("40", "55P03"), False, "{address}: nothing was written, others were in the way ({said})"),
    (("58", "XX", "F0"), False, "{address} has an inner failure ({said}): see the server's log"),
    (
        ("22", "23", "42", "0A"),
        True,
        "{address} does not take what was to be written or read ({said}): a bug, please report it",
    ),
]
