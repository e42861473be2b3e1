"""The one connection of a worker that writes: groups of Commits in, transactions out."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from sagakit.core.commit import Commit, Rejected
from sagakit.errors import CommitLost, LeaseLost, StoreFailed, StoreUnusable
from sagakit.stores.postgres.address import Address
from sagakit.stores.postgres.connection import (
    AGAIN,
    BY_INDEX,
    EXPELLED,
    MISMATCH,
    REROUTED,
    Connection,
    Statement,
    connect,
    explain,
    explained,
    is_broken,
    is_unwritable_text,
    sqlstate,
    writable,
)
from sagakit.stores.postgres.queries import QUERIES
from sagakit.stores.postgres.writing.arguments import arguments, call
from sagakit.stores.postgres.writing.known import Known, assume, load
from sagakit.stores.postgres.writing.plan import Plan

WRITE_WITHIN = 60.0
"""Seconds for a transaction; after that its connection is given up, and its answer counts as lost."""
TRIES = 8
"""How often a group is made ready anew while others change what it speaks of, or stand in its way."""
NUMBERS_KEPT = 50_000
UNIQUE = "23505"

STEERED = BY_INDEX | {"plan_cache_mode": "force_generic_plan"}
"""Settings of a connection that writes."""

MINE = ("text", "bigint", "bigint", "bigint")
"""The types of what write_1 is told of the worker."""

WRITE = call(MINE)


class Lost(NamedTuple):
    """What one call was to write."""

    transaction: int
    plan: Plan


class Writer:
    """Writes what its worker commits. Calls may come at the same time: they are done one after another."""

    def __init__(self, address: Address, worker: str, lapsed: Callable[[str], StoreUnusable] = LeaseLost) -> None:
        self.address = address
        self.worker = worker
        self.routing = 0
        """The version of the subscriptions by which Commits have to be routed."""
        self.is_foreign: Callable[[str, int], bool] = lambda consumer, partition: False
        """Whether a partition of a consumer is not this worker's."""
        self._lapsed = lapsed
        self._lock = asyncio.Lock()
        self._connection: Connection | None = None
        self._statement: Statement | None = None
        self._transaction = 0
        self._numbers: dict[str, int] = {}
        self._parts: list[Lost] = []
        """The calls of the commit whose answer was lost, in order; the last one's answer is not known."""
        self._failure: str | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def failed(self) -> bool:
        """Whether it is not known what was written."""
        return self._failure is not None

    # ------------------------------------------------------------------ the connection

    async def open(self, connection: Connection, session: int, routing: int) -> None:
        """Go on with a connection whose session is written in the worker's row."""
        self._connection = connection
        self.routing = routing
        self._session = session
        with explained(self.address):
            self._statement = await connection.prepare(WRITE)

    async def close(self) -> None:
        """Write no more, once what is being written is written."""
        async with self._lock:
            await self._disconnect()
            self._failure = f"{self.address} is closed"

    async def alone(self, work: Callable[[Connection], Awaitable[Any]]) -> Any:
        """Do something on this connection while no Commit is being written."""
        async with self._lock:
            connection = await self._connected()
            try:
                return await work(connection)
            except (StoreFailed, StoreUnusable):
                raise
            except Exception as error:
                if is_broken(error):
                    await self._disconnect()
                raise explain(error, self.address) from error

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        self._statement = None
        if connection is not None:
            connection.terminate()

    async def _connected(self) -> Connection:
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        await self._disconnect()
        connection = await connect(self.address, settings=STEERED)
        try:
            found = await self._take_session(connection)
            await self.open(connection, self._session, found[2])
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def _take_session(self, connection: Connection) -> Sequence[Any]:
        """What an earlier connection still sends is dropped from now on; what it is writing is waited for."""
        self._session = secrets.randbits(62)
        with explained(self.address):
            found = await connection.fetchrow(QUERIES["take_session"], self.worker, self._session, timeout=WRITE_WITHIN)
        if found is None:
            raise self.expelled()
        return found

    def expelled(self) -> StoreUnusable:
        """What to raise where the worker's row is gone."""
        return self._lapsed(f"{self.address} has expelled this engine: others go on with what it owned; start it anew")

    # ------------------------------------------------------------------ writing

    async def commit(self, commits: Sequence[Commit]) -> list[Rejected | None]:
        """Write all that match. Whoever gives up waiting does not undo it."""
        return await self._shielded(self._commit(commits))

    async def committed(self, commits: Sequence[Commit]) -> list[bool]:
        """After CommitLost: which of them were written."""
        return await self._shielded(self._committed(commits))

    async def _shielded(self, work: Any) -> Any:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waits for it is told; nobody may wait any more

    async def _commit(self, commits: Sequence[Commit]) -> list[Rejected | None]:
        async with self._lock:
            if self._failure is not None:
                raise StoreFailed(self._failure)
            await self._connected()
            self._parts = []
            answers: list[Rejected | None] = []
            while len(answers) < len(commits):
                rest = commits[len(answers) :] if answers else commits
                plan = await self._write_assumed(rest) or await self._write_known(rest)
                self._remember(plan)
                answers += plan.answers
            return answers

    async def _write_assumed(self, commits: Sequence[Commit]) -> Plan | None:
        """Write as if everything were as expected, which the database says: None if it is not so."""
        known = assume(commits, self._numbers)
        if known is None:
            return None
        plan = self._plan(known, commits)
        if not plan.all_match:
            plan.give_up()
            return None
        return plan if await self._call(plan) else None

    async def _write_known(self, commits: Sequence[Commit]) -> Plan:
        """Read what they are checked by, and write those that match."""
        for attempt in range(TRIES):
            connection = await self._connected()
            with explained(self.address):
                known = await load(connection, commits)
            plan = self._plan(known, commits)
            if await self._call(plan):
                return plan
            await asyncio.sleep(0.001 * 2**attempt)
        raise StoreFailed(f"{self.address}: nothing was written, others change what it speaks of all the time")

    def _plan(self, known: Known, commits: Sequence[Commit]) -> Plan:
        return Plan(known, commits, self.routing, self.is_foreign)

    async def _call(self, plan: Plan) -> bool:
        """Write it in a transaction of its own; False if something did not match, or was in the way."""
        if self._statement is None:
            plan.give_up()
            await self._connected()
            return False
        self._transaction += 1
        self._parts.append(Lost(self._transaction, plan))
        routing = plan.routing if any(commit.routing for commit in plan.written) else 0
        try:
            zero = await self.write(routing, arguments(plan))
        except Exception as error:
            plan.give_up()
            return await self._failed(error)
        if zero < 0:
            self._parts.pop()
            plan.give_up()
            return False
        plan.number(zero)
        return True

    async def write(self, routing: int, given: list[Any]) -> int:
        """One call of write_1."""
        assert self._statement is not None
        mine = (self.worker, self._session, routing, self._transaction)
        try:
            return await self._statement.fetchval(*mine, *given, timeout=WRITE_WITHIN)
        except Exception as error:
            if not is_unwritable_text(error):
                raise
        return await self._statement.fetchval(*mine, *writable(given), timeout=WRITE_WITHIN)

    async def _failed(self, error: Exception) -> bool:
        """False if it may be tried again; else raises what has happened."""
        state = sqlstate(error)
        if is_broken(error):
            await self._disconnect()
            self._failure = f"{self.address} has not confirmed a transaction: ask what was written"
            raise CommitLost(f"{explain(error, self.address)}; a transaction may or may not be written") from error
        self._parts.pop()
        if state in AGAIN or state in (MISMATCH, UNIQUE):
            return False
        if state == EXPELLED:
            raise self.expelled() from error
        if state == REROUTED:
            await self._read_routing()
            return False
        if not state.startswith("SK"):
            await self._disconnect()  # whatever it left behind there, such as a lock
        raise explain(error, self.address) from error

    async def _read_routing(self) -> None:
        connection = await self._connected()
        with explained(self.address):
            self.routing = await connection.fetchval("SELECT routing FROM workers WHERE id = $1", self.worker)

    def _remember(self, plan: Plan) -> None:
        for write in plan.started:
            self._numbers[write.row.id] = write.row.number
        if len(self._numbers) > NUMBERS_KEPT:
            for id in list(self._numbers)[: NUMBERS_KEPT // 4]:
                del self._numbers[id]

    # ------------------------------------------------------------------ after a lost answer

    async def _committed(self, commits: Sequence[Commit]) -> list[bool]:
        async with self._lock:
            if self._failure is not None:
                await self._look_up()
            written = {id(commit) for part in self._parts for commit in part.plan.written}
            return [id(commit) in written for commit in commits]

    async def _look_up(self) -> None:
        """Ask the worker's row for the last transaction, once no earlier one can still come."""
        if not self._parts:  # closed
            raise StoreFailed(self._failure or "")
        connection = await connect(self.address, settings=STEERED)
        try:
            transactions, zero, routing = await self._take_session(connection)
            await self.open(connection, self._session, routing)
        except BaseException:
            connection.terminate()
            raise
        last = self._parts[-1]
        if transactions >= last.transaction:
            last.plan.number(zero)
            self._remember(last.plan)
        else:
            self._parts.pop()
        self._transaction = max(self._transaction, transactions)
        self._failure = None
