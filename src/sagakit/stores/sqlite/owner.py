"""The one writer of a file: owns it, and turns groups of Commits into transactions. Runs on one thread."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw
import msgspec

from sagakit.core.commit import Commit, Rejected, Subscription
from sagakit.errors import CommitLost, StoreFailed, StoreInUse, StoreUnusable
from sagakit.stores.sqlite.connection import connect, explain, explained
from sagakit.stores.sqlite.known import Known
from sagakit.stores.sqlite.lock import OwnerLock
from sagakit.stores.sqlite.plan import Numbers, Plan, numbered
from sagakit.stores.sqlite.queries import QUERIES
from sagakit.stores.sqlite.schema import open_migrated, read_store
from sagakit.stores.sqlite.writing import write_rows


class Owner:
    """An open file that this process owns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clean = True
        self.failure: str | None = None
        """Why nothing can be promised any more: a Commit's outcome is unknown until the file is read anew."""
        self._lock = OwnerLock(path)
        self._known = Known()
        self._epoch = 0
        self._lost: dict[int, list[tuple[Commit, list[tuple[Any, str, int]]]]] = {}
        self._lock.acquire()
        try:
            with explained(path):
                self._connection, _, _ = open_migrated(path)
                self._take_ownership()
        except BaseException:
            self._lock.release()
            raise

    def _take_ownership(self) -> None:
        try:
            row = read_store(self._connection)
            self.clean = bool(row.clean)
            self._numbers = Numbers(row.transactions, row.last_position, row.last_delivery, row.last_instance)
            self._epoch = self._connection.execute(QUERIES["take_ownership"], (os.getpid(),)).get
        except BaseException:
            self._connection.close()
            raise

    def close(self, clean: bool) -> None:
        """Leave the file. After a failure nothing is said about its end: the next owner looks for itself."""
        try:
            with explained(self.path):
                if self.failure is None:
                    self._connection.execute(QUERIES["give_up_ownership"], (clean, self._epoch))
        finally:
            try:
                self._connection.close()
            finally:
                self._lock.release()

    def commit(self, commits: Sequence[Commit]) -> list[Rejected | None]:
        """One transaction; each Commit that does not match is dropped alone."""
        if self.failure:
            raise StoreFailed(self.failure)
        numbers = msgspec.structs.replace(self._numbers)
        plan: Plan | None = None
        try:
            self._connection.execute(QUERIES["begin"])
            self._known.load(self._connection, commits)
            plan = Plan(self._known, numbers, commits)
            self._write(plan)
        except BaseException as error:
            self._undo(plan, commits)
            if isinstance(error, apsw.Error):
                raise explain(error, self.path) from error
            raise
        try:
            self._connection.execute(QUERIES["commit"])
        except apsw.Error as error:
            raise self._unknown(plan, error) from error
        self._numbers = numbers
        self._known.trim()
        self._lost.clear()
        return plan.answers

    def _write(self, plan: Plan) -> None:
        numbers = plan.numbers
        numbers.transactions += 1
        bindings = (numbers.transactions, numbers.position, numbers.delivery, numbers.instance, self._epoch)
        self._connection.execute(QUERIES["count_transaction"], bindings)
        if not self._connection.changes():
            raise StoreInUse(f"another engine has taken over {self.path}: this one must end")
        write_rows(self._connection, plan)

    def _undo(self, plan: Plan | None, commits: Sequence[Commit]) -> None:
        self._known.clear()
        for commit in plan.written() if plan else ():
            for numbered_object, field in numbered(commit):
                setattr(numbered_object, field, 0)
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _unknown(self, plan: Plan, error: apsw.Error) -> StoreFailed | StoreUnusable:
        """What to raise after a failed COMMIT: only a full disk is known to have written nothing."""
        written = plan.written()
        lost = [(commit, [(it, name, getattr(it, name)) for it, name in numbered(commit)]) for commit in written]
        self._undo(plan, plan.commits)
        if isinstance(error, apsw.FullError | apsw.BusyError):
            return explain(error, self.path)
        self._lost[plan.numbers.transactions] = lost
        self.failure = f"{self.path} failed while it was written ({error}): it must be opened again before it is used"
        return CommitLost(f"{self.path} did not confirm a transaction ({error}): it may or may not be written")

    def committed(self, commits: Sequence[Commit]) -> list[bool]:
        """Open the file anew if it had failed, and tell which of the lost Commits are in it."""
        if self.failure:
            self._reopen()
        found = self._numbers.transactions
        written: list[Commit] = []
        for transaction, lost in self._lost.items():
            for commit, numbers in lost if transaction <= found else ():
                for it, name, number in numbers:
                    setattr(it, name, number)
                written.append(commit)
        return [any(commit is known for known in written) for commit in commits]

    def _reopen(self) -> None:
        with explained(self.path):
            self._connection.close()
            self._connection = connect(self.path)
            row = read_store(self._connection)
            if row.epoch != self._epoch:
                raise StoreInUse(f"another engine has taken over {self.path}: this one must end")
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            self._numbers = Numbers(row.transactions, row.last_position, row.last_delivery, row.last_instance)
            self.failure = None

    def announce(self, url: str | None) -> None:
        """Say where this engine's HTTP door is."""
        if self.failure:
            raise StoreFailed(self.failure)
        with explained(self.path):
            self._connection.execute(QUERIES["announce"], (url, self._epoch))
        if not self._connection.changes():
            raise StoreInUse(f"another engine has taken over {self.path}: this one must end")

    def subscribe(self, subscriptions: Sequence[Subscription]) -> None:
        """Record these subscriptions, and only these."""
        if self.failure:
            raise StoreFailed(self.failure)
        newest = self._numbers.position
        rows = [(wanted.consumer, wanted.type, wanted.since or newest) for wanted in subscriptions]
        kept = msgspec.json.encode([row[:2] for row in rows]).decode()
        with explained(self.path), self._connection:
            self._connection.execute(QUERIES["unsubscribe_others"], (kept,))
            self._connection.executemany(QUERIES["subscribe"], rows)
