"""Every error that sagakit raises, in one tree.

Exception
├── NotDone                     a step of a saga was not done (raised inside code sagas and by send_and_wait)
│   ├── Refused                 a declared refusal: known not done
│   └── OutcomeUnknown          may have been done; what is left of it is undone
│       └── TimedOut            its timeout has passed
├── TerminalError               trying again cannot help
│   ├── DeclarationError        an app that cannot run: all its problems at once
│   ├── MissingExtra            a part whose libraries are not installed
│   ├── InvalidMessage          a payload that does not fit its type
│   ├── UnknownMessage          a type that no class claims
│   ├── PayloadTooLarge
│   ├── NotFound
│   ├── CursorGone              a watch cannot go on from there; it carries where things stand
│   ├── StaleVersion            an aggregate has moved on since it was read
│   ├── NotPossible             what an operator asks for, in the state that it is in
│   ├── KeyReused               an idempotency key with another request
│   ├── ProcessBug              a process that cannot go on: its instance parks
│   │   └── Nondeterminism      code that contradicts the record
│   └── StoreUnusable           a database that this engine cannot or must not open
│       ├── StoreInUse          another engine owns it
│       ├── LeaseLost           this worker was expelled: its lease had expired
│       └── SchemaTooNew
└── RetryableError              trying again later may help
    ├── KeyInFlight             the first request with this key is still being accepted
    ├── Busy                    the bound on accepted, unfinished work is reached
    ├── Stopping                the engine is being stopped
    ├── WaitTimeout             the outcome did not come in time; nothing is cancelled
    ├── HandlerTimeout          a handler ran longer than its timeout
    └── StoreFailed             a Commit could not be written
        └── CommitLost          it may have been: the answer is unknown
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class NotDone(Exception):
    """A step was not done, and has left nothing behind."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Refused(NotDone):
    """A declared refusal: known not done. `event` is the refusal, None where the command led to no event."""

    def __init__(self, reason: str, event: Any = None) -> None:
        super().__init__(reason)
        self.event = event


class OutcomeUnknown(NotDone):
    """The step may have been done: an error, retries used up, an undeclared event."""


class TimedOut(OutcomeUnknown):
    """The step's timeout has passed: it was given up, and may have been done."""


class TerminalError(Exception):
    """Trying again cannot help."""


class RetryableError(Exception):
    """Trying again later may help."""

    retry_after: float | None = None
    """Seconds before which it cannot help, where whoever refused has said so: no retry comes earlier."""


class DeclarationError(TerminalError):
    """The app cannot run; `problems` lists every reason, one line each."""

    def __init__(self, app: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__(f"the app {app!r} cannot run:" + "".join(f"\n  - {problem}" for problem in problems))


class MissingExtra(TerminalError):
    """The libraries that a part needs are not installed; the text says how to."""

    def __init__(self, part: str, extra: str) -> None:
        super().__init__(f"{part} needs an extra: pip install 'sagakit[{extra}]'")


class InvalidMessage(TerminalError):
    """A payload that does not fit its type; the text names the field and what was expected."""


class UnknownMessage(TerminalError):
    """A message type that no class of the app claims."""


class PayloadTooLarge(TerminalError):
    """A payload above the limit (1 MiB unless set otherwise)."""


class NotFound(TerminalError):
    """There is no such aggregate, process or message."""


class CursorGone(TerminalError):
    """What came after this cursor cannot be told; `current` is the update that says where things stand."""

    def __init__(self, text: str, current: Any) -> None:
        super().__init__(text)
        self.current = current


class StaleVersion(TerminalError):
    """The aggregate is no longer at the version that the caller expected."""

    def __init__(self, stream: str, expected: int, found: int) -> None:
        super().__init__(f"{stream} is at version {found}, not {expected}: read it again and decide anew")
        self.expected = expected
        self.found = found


class NotPossible(TerminalError):
    """An operator's action does not fit the state of what it is for; the text says what does."""


class KeyReused(TerminalError):
    """This idempotency key came with another request before."""


class ProcessBug(TerminalError):
    """The code of a process failed in a way that it does not handle: the instance parks."""


class Nondeterminism(ProcessBug):
    """The code of a process contradicts what is recorded of it."""


class StoreUnusable(TerminalError):
    """The database cannot be used: the text says why, and what to do."""


class StoreInUse(StoreUnusable):
    """Another engine owns the database."""


class LeaseLost(StoreUnusable):
    """This worker's lease has expired, and others go on with what it owned: it must end."""


class SchemaTooNew(StoreUnusable):
    """The database was written by a newer sagakit."""


class KeyInFlight(RetryableError):
    """The first request with this idempotency key is still being accepted."""


class Busy(RetryableError):
    """Too much accepted work is unfinished; come back in `retry_after` seconds."""

    def __init__(self, unfinished: int, retry_after: float = 1.0) -> None:
        super().__init__(f"{unfinished} accepted messages are unfinished: try again in {retry_after:g} s")
        self.retry_after: float | None = retry_after


class Stopping(RetryableError):
    """The engine is being stopped and accepts nothing more."""


class WaitTimeout(RetryableError, TimeoutError):
    """The awaited outcome did not come in time. Nothing was cancelled: it may still come."""


class HandlerTimeout(RetryableError):
    """A handler ran longer than its declared timeout."""


class StoreFailed(RetryableError):
    """The store could not write; nothing of it was committed."""


class CommitLost(StoreFailed):
    """The store did not answer: the Commits may or may not have been written."""
