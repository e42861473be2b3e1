"""The door: what is sent or published is checked, recorded with its deliveries in one Commit, and acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from msgspec import Struct

from sagakit.core.commit import Delivery, Envelope, Inbox, Kind, Rejected
from sagakit.core.messages import stable_id
from sagakit.core.streams import checked
from sagakit.engine.draft import Draft
from sagakit.engine.routing import DOOR, Router
from sagakit.engine.topology import ProcessConsumer
from sagakit.errors import Busy, KeyInFlight, KeyReused, Stopping, StoreFailed, UnknownMessage
from sagakit.observer import Observer
from sagakit.ports import Chance, Receipt, Store

__all__ = ["ANYTHING", "Door", "Receipt", "either", "entry"]


ANYTHING = ""
"""The digest of what was refused before it came, whatever it is."""


class _Answer(Struct):
    message_id: str
    correlation_id: str


_encode = msgspec.json.encode
_decode = msgspec.json.Decoder(_Answer).decode


class Door:
    """Takes messages from outside."""

    def __init__(
        self,
        router: Router,
        store: Store,
        chance: Chance,
        submit: Callable[[Draft], None],
        load: Callable[[], int],
        most: int,
    ) -> None:
        self._router = router
        self._topology = router.topology
        self._clock = router.clock
        self._store = store
        self._chance = chance
        self._submit = submit
        self._load = load
        self._most = most
        self._in_flight: set[tuple[str, str]] = set()
        self.closed: str | None = None
        """Why nothing is accepted."""
        self.catch_up: Callable[..., Awaitable[None]] | None = None
        """Where several workers share the store: what the others have taken before comes first."""
        self.failure: Callable[[], StoreFailed | None] = lambda: None
        self.observer: Observer | None = None

    def new_envelope(
        self, message: Any, kind: Kind, *, expected_version: int | None = None, trace: str | None = None
    ) -> Envelope:
        """A message from outside, checked. Raises InvalidMessage, UnknownMessage, PayloadTooLarge."""
        codec, payload, sealed = self._topology.codecs.seal(message)
        taken = codec.cls in self._topology.starters or codec.cls in (
            self._topology.handlers if kind == "command" else self._topology.codecs.by_class
        )
        if not taken:
            raise UnknownMessage(f"nobody handles the command {codec.name}")
        id = self._chance.new_id()
        return Envelope(
            id,
            kind,
            codec.name,
            payload,
            id,
            self._clock.now(),
            codec.version,
            trace=trace,
            expected_version=expected_version,
            message=sealed,
        )

    async def accept(
        self, envelope: Envelope, *, key: str | None = None, digest: str | None = None, due: int | None = None
    ) -> Receipt:
        """Record a message and what is to be done with it, `due` later. Returns once that is durable."""
        if self.observer is None:
            return await self._accept(envelope, key, digest, due)
        return await self.observed(envelope, lambda: self._accept(envelope, key, digest, due))

    async def observed(self, envelope: Envelope, accept: Callable[[], Awaitable[Receipt]]) -> Receipt:
        """Accept a message, and tell what becomes of it to who measures."""
        observer = self.observer
        if observer is None:
            return await accept()
        observer.accepting(envelope)
        try:
            receipt = await accept()
        except Exception as error:
            observer.accepted(envelope, error)
            raise
        observer.accepted(envelope, None, repeated=receipt.repeated)
        return receipt

    async def _accept(self, envelope: Envelope, key: str | None, digest: str | None, due: int | None) -> Receipt:
        self.check_room()
        if key is None:
            return await self._record(envelope, None, due)
        checked("idempotency_key", key)
        claim = (envelope.type, key)
        if claim in self._in_flight:
            raise KeyInFlight(f"the first request with the key {key!r} is still being accepted")
        self._in_flight.add(claim)
        try:
            return await self._record(envelope, entry_of(envelope, key, self.digest(envelope, digest)), due)
        finally:
            self._in_flight.discard(claim)

    async def repeated(self, envelope: Envelope, key: str, digest: str | None) -> Receipt | None:
        """The receipt of a request that was accepted before."""
        known = await self._store.read_inbox(envelope.type, key)
        return None if known is None else repeat(known, entry_of(envelope, key, self.digest(envelope, digest)))

    def digest(self, envelope: Envelope, given: str | None = None) -> str:
        """What tells a request from another one with its key: what is given, else all that its message says."""
        if given is not None:
            return stable_id(given)
        # not of its payload: in that a set stands in another order in each process
        return self._topology.codecs.named(envelope.type).digest(envelope.message)

    async def tell(self, message: Any, process: ProcessConsumer, lane: str) -> None:
        """Record a message for one instance."""
        self.check_room()
        codec, payload, sealed = self._topology.codecs.seal(message)
        id = self._chance.new_id()
        envelope = Envelope(id, "event", codec.name, payload, id, self._clock.now(), codec.version, message=sealed)

        async def build(draft: Draft) -> None:
            draft.commit.messages.append(envelope)
            self._router.processes.deliver(draft, process, lane, (envelope,))

        await self.write(build, None)

    def check_open(self) -> None:
        """Raise Stopping or StoreFailed where nothing can be recorded."""
        if self.closed is not None:
            raise Stopping(self.closed)
        failure = self.failure()
        if failure is not None:
            raise StoreFailed(str(failure))

    def check_room(self) -> None:
        """Raise as `check_open` does, and Busy where too much is unfinished."""
        self.check_open()
        if self._load() >= self._most:
            raise Busy(self._load())

    async def write(
        self, build: Callable[[Draft], Awaitable[None]], inbox: Inbox | None, *coming: Envelope
    ) -> Receipt | None:
        """Have a Commit written that `build` makes of what is `coming`. Returns once it is durable: None, or the
        receipt that the inbox has remembered: then nothing was written."""
        loop, rejected = asyncio.get_running_loop(), None
        while True:
            if self.catch_up is not None:
                await self.catch_up(*coming)
            settled: asyncio.Future[Rejected | None] = loop.create_future()
            draft = Draft(_settle, settled)
            draft.at_door, draft.remade, draft.first = True, True, rejected is None
            if inbox is not None:
                draft.commit.inbox.append(inbox)
            try:
                await build(draft)
            except BaseException:
                self._router.processes.abandon(draft)
                raise
            self._submit(draft)
            rejected = await settled
            if rejected is None:
                return None
            if rejected.inbox is not None and inbox is not None and rejected.inbox.key == inbox.key:
                return repeat(rejected.inbox, inbox)
            # else a process has moved on meanwhile, or is not new: once more

    async def _record(self, envelope: Envelope, inbox: Inbox | None, due: int | None) -> Receipt:
        async def build(draft: Draft) -> None:
            if due is None:
                await self.route(draft, envelope)
            else:  # the log holds it once it is due; nobody is told before
                draft.commit.deliveries.append(Delivery(envelope, DOOR, envelope.id, state="scheduled", due_at=due))

        return await self.write(build, inbox, envelope) or Receipt(envelope.id, envelope.correlation_id)

    async def route(self, draft: Draft, envelope: Envelope) -> None:
        """A message to those who handle or take it."""
        draft.commit.messages.append(envelope)
        if envelope.kind == "event":
            await self._router.published(draft, (envelope,))
        else:
            await self._router.commands(draft, (envelope,))


def _settle(draft: Draft, result: Rejected | BaseException | None) -> None:
    future: asyncio.Future[Rejected | None] = draft.subject
    if future.done():
        return
    if isinstance(result, BaseException):
        future.set_exception(result)
    else:
        future.set_result(result)


def entry(scope: str, key: str, digest: str, receipt: Receipt) -> Inbox:
    """What the inbox remembers of a request."""
    return Inbox(scope, key, digest, _encode(_Answer(receipt.message_id, receipt.correlation_id)))


def entry_of(envelope: Envelope, key: str, digest: str) -> Inbox:
    """What the inbox remembers of a request that asks for no more than its message."""
    return entry(envelope.type, key, digest, Receipt(envelope.id, envelope.correlation_id))


def either(message: str, came: str | None) -> str:
    """The digest of what came in bytes: a repeat may be these bytes again, read by newer code that knows more fields,
    or the same words written anew, a set or the fields of an object in another order."""
    return message if came is None else f"{message} {stable_id(came)}"


def repeat(known: Inbox, asked: Inbox) -> Receipt:
    """The first receipt again. KeyReused if it was another request."""
    if known.digest != ANYTHING and set(known.digest.split()).isdisjoint(asked.digest.split()):
        raise KeyReused(f"the idempotency key {asked.key!r} came with another {asked.scope} before")
    answer = _decode(known.answer)
    return Receipt(answer.message_id, answer.correlation_id, repeated=True)
