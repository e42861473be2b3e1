"""A saga written as an `async def`: declared here, driven by `live`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

from sagakit.core.commit import History, Instance
from sagakit.core.messages import Message
from sagakit.core.process import Input
from sagakit.core.saga.live import SagaLive, Surroundings
from sagakit.core.saga.operations import Saga
from sagakit.core.saga.restarting import decode_since
from sagakit.core.saga.timing.deadline import Deadline

_E_contra = TypeVar("_E_contra", bound=Message, contravariant=True)


class CodeSaga(Generic[_E_contra]):
    """A code saga as declared: its name, and the code that its instances run."""

    def __init__(
        self,
        name: str,
        code: Callable[[Any, Saga], Coroutine[Any, Any, Message | None]],
        *,
        key: str,
        receives: tuple[type[Message], ...] = (),
        deadline: Deadline | None = None,
        version: int = 1,
    ) -> None:
        self.name = name
        self.code = code
        self.key = key
        self.receives = receives
        self.deadline = deadline
        self.version = version
        self.stuck_after = 3600.0
        """Seconds after which an instance that does not move is listed as stuck."""
        self.early_for = 0.0
        """Seconds that an event waits for the start of its instance."""
        self.attributes: tuple[str, ...] = ()
        """The fields of what it takes that its instances are searched by."""

    def __repr__(self) -> str:
        return f"<saga {self.name}>"


class SagaDefinition:
    """A saga joined to its surroundings: starts instances and brings them back. Code and step sagas are both this."""

    def __init__(
        self,
        name: str,
        code: Callable[[Any, Saga], Coroutine[Any, Any, Any]],
        around: Surroundings,
        *,
        starts_with: tuple[type[Message], ...],
        receives: tuple[type[Message], ...],
        deadline: Deadline | None = None,
        version: int,
    ) -> None:
        self.name = name
        self.version = version
        self.starts_with = starts_with
        self.receives = receives
        self.replays = True
        self._code = code
        self._around = around
        self._deadline = deadline

    def since(self, row: Instance) -> int:
        """The row version after which its history is replayed."""
        return decode_since(row.state).since

    def start(self, id: str, key: str) -> SagaLive:
        """A new instance; its first input starts the code."""
        return SagaLive(self.name, self._code, self.receives, self._around, id, key, self._deadline, self.starts_with)

    def retell(self, id: str, key: str) -> SagaLive:
        """A new instance that is run through a known history: it does not log."""
        live = self.start(id, key)
        live.silence()
        return live

    def reopen(self, row: Instance, history: Sequence[tuple[Input, History]], step: int) -> SagaLive:
        """An instance as it waited for the batch of this step. NotPossible if it has gone on since."""
        live = self.start(row.id, row.key)
        live.reopen(row, history, step)
        return live

    def revive(self, row: Instance, history: Sequence[tuple[Input, History]]) -> SagaLive:
        """An instance as it stood after the last reaction of its history."""
        live = self.start(row.id, row.key)
        live.revive(row, history)
        return live
