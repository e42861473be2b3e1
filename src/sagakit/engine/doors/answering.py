"""The answer door: what a participant says of a command that was handed over to it becomes the command's outcome."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from sagakit.core.codec import Codecs
from sagakit.core.commit import Delivery, Envelope
from sagakit.core.lifecycle import HANDED_OVER, HandedOver
from sagakit.core.messages import stable_id
from sagakit.core.streams import checked
from sagakit.engine.draft import Draft, Failure
from sagakit.engine.handlers.notices import Notices
from sagakit.engine.handlers.reading import Reader
from sagakit.engine.handlers.withdrawing import Withdrawing
from sagakit.engine.inbox import Door, either, entry
from sagakit.engine.routing import Router
from sagakit.engine.topology import ServiceConsumer
from sagakit.errors import KeyInFlight, NotFound, NotPossible, Refused
from sagakit.ports import Receipt, Store

REMEMBERED = 10_000
"""Commands that were handed over and are kept in memory: their answers need no look into the log."""
STORY_PAGE = 1_000


@dataclass(frozen=True)
class Answer:
    """What a participant says of a command."""

    events: Sequence[Any]
    failed: str | None
    """Why it could not; None: `events` are what it led to."""
    known_not_done: bool
    source: str
    message_id: str | None
    trace: str | None = None
    """Where it was given."""

    @property
    def scope(self) -> str:
        """Where its id is its own."""
        return f"answer of {self.source}" if self.source else "answer"

    digest: str | None = None
    """Of its bytes, if it came in some."""

    def said(self, command_id: str, codecs: Codecs) -> str:
        """The same for the same answer to this command: an id that came with the answer to another is no repeat."""
        sealed = [codecs.seal(event) for event in self.events]  # raises what is wrong with them
        events = [codec.digest(event) for codec, _, event in sealed]
        return stable_id(command_id, *events, f"{self.failed} {self.known_not_done}")


class Answering:
    """Takes answers, as the outcomes of the commands that they are for."""

    def __init__(
        self,
        router: Router,
        store: Store,
        read: Reader,
        door: Door,
        withdrawing: Withdrawing,
        notices: Notices,
        *,
        shared: bool = False,
    ) -> None:
        self._shared = shared
        self._router = router
        self._codecs = router.topology.codecs
        self._store = store
        self._read = read
        self._door = door
        self._withdrawing = withdrawing
        self._notices = notices
        self._handed: OrderedDict[str, Envelope] = OrderedDict()
        """Commands that wait for an answer, by their ids; the newest of them."""

    def handed_over(self, delivery: Delivery) -> None:
        """A command waits for its answer from now on."""
        self._handed[delivery.envelope.id] = delivery.envelope
        if len(self._handed) > REMEMBERED:
            self._handed.popitem(last=False)

    async def answer(self, command_id: str, correlation_id: str, answer: Answer) -> Receipt:
        """Record an answer as its command's outcome. Returns once that is durable."""
        self._door.check_open()
        if answer.failed is not None and answer.events:
            raise TypeError("answer takes the events that the command led to, or failed=")
        checked("message_id", answer.message_id or "")
        command = await self._command(command_id, correlation_id)
        said = answer.said(command_id, self._codecs)
        key, digest = answer.message_id or said, either(said, answer.digest and stable_id(command_id, answer.digest))
        by = f"sagakit.answer/{stable_id(answer.source, key)}"
        receipt = Receipt(command_id, correlation_id)

        async def build(draft: Draft) -> None:
            if answer.failed is None:
                await self._succeeded(draft, command, answer.events, by)
                await self._take_back(draft, command)
            else:
                await self._failed(draft, command, answer, by)
            if _in_one_trace(answer.trace, command.trace):
                for message in draft.commit.messages:
                    if message.causation_id == command.id:
                        message.trace = answer.trace

        known = await self._door.write(build, entry(answer.scope, key, digest, receipt))
        if known is None:
            self._handed.pop(command_id, None)
        return known or receipt

    async def _command(self, command_id: str, correlation_id: str) -> Envelope:
        command = self._handed.get(command_id)
        command = command or await self._read(self._store.read_message, correlation_id, command_id)
        if command is None or command.kind != "command" or command.correlation_id != correlation_id:
            raise NotFound(f"there is no command {command_id!r} in the story {correlation_id!r}")
        handler = self._router.topology.handlers.get(self._codecs.named(command.type).cls)
        if not isinstance(handler, ServiceConsumer):
            name = handler.name if handler else "a process"
            raise NotPossible(f"{command.type} is handled by {name} of this app: its outcome comes from there")
        return command

    async def _take_back(self, draft: Draft, command: Envelope) -> None:
        """An answer that comes early is taken: nothing more is made of the command, and its run is cancelled.

        What parks may be outstanding again since it was handed over: a person has had it tried anew, anywhere.
        """
        if command.id not in self._handed or _parks(command):
            await self._withdrawing.decide(draft, command.id)

    async def _outstanding(self, command: Envelope) -> Delivery | None:
        """The delivery of a command, wherever it is."""
        found = self._withdrawing.find(command.id)
        if found is None and self._withdrawing.find_unread is not None:
            unread = await self._withdrawing.find_unread(command.id)
            found = None if unread is None else await self._read(self._store.read_delivery, unread)
        if found is None and self._store.cluster is not None and self._shared:
            found = await self._read(self._store.cluster.find_delivery, command.position)
        return found

    async def _open_since(self, command: Envelope) -> int | None:
        """The attempt that has handed it over, by the log; None if something was said of it since."""
        last: Envelope | None = None
        after = command.position
        while page := await self._read(self._store.read_story, command.correlation_id, after=after, limit=STORY_PAGE):
            for one in page:
                if one.causation_id == command.id and (one.sender is None or one.type == HANDED_OVER):
                    last = one
            after = page[-1].position
        if last is None or last.type != HANDED_OVER:
            return None
        return msgspec.json.decode(last.payload, type=HandedOver).attempt

    # ------------------------------------------------------------------ what it leads to

    async def _succeeded(self, draft: Draft, command: Envelope, events: Sequence[Any], by: str) -> None:
        now = self._router.clock.now()
        made = [self._router.envelope(command, by, index, event, now) for index, event in enumerate(events)]
        if not made:
            made = [self._router.led_to_nothing(command, by)]
            if command.sender is None:
                draft.stories.append(Failure(command.correlation_id, Refused(f"{command.type} led to no event")))
        await self._router.outcome(draft, command, made)

    async def _failed(self, draft: Draft, command: Envelope, answer: Answer, by: str) -> None:
        """A participant could not: as if its handler had been given up."""
        reason, known_not_done = answer.failed or "it failed", answer.known_not_done
        if _parks(command) and not (known_not_done and command.sender is None):
            await self._failed_for_good(draft, command, reason, known_not_done, by)
            return
        await self._router.failure(draft, command, reason, known_not_done=known_not_done, by=by)
        if command.sender is None:
            draft.stories.append(Failure(command.correlation_id, Refused(reason)))
        await self._take_back(draft, command)

    async def _failed_for_good(
        self, draft: Draft, command: Envelope, reason: str, known_not_done: bool, by: str
    ) -> None:
        """What nobody but a person can go on with."""
        outstanding = await self._outstanding(command)
        if outstanding is not None and outstanding.state == "parked":
            return  # in a person's hands already: doubled
        if outstanding is not None and self._shared:
            raise KeyInFlight(f"{command.type} {command.id} is still being handed over: answer again")
        attempt = await self._open_since(command) if outstanding is None else outstanding.attempt
        if attempt is None:
            return  # settled before: doubled
        if outstanding is not None:
            await self._withdrawing.decide(draft, command.id)
        await self._router.failure(draft, command, reason, known_not_done=known_not_done, by=by)
        await self._park(draft, command, reason, attempt)

    async def _park(self, draft: Draft, command: Envelope, reason: str, attempt: int) -> None:
        """It waits for a person, who may have it handed over once more."""
        message = command.message or self._codecs.decode(command.type, command.version, command.payload)
        command.message = message
        handler = self._router.topology.handlers[message.__class__]
        assert isinstance(handler, ServiceConsumer)
        delivery = draft.deliver(command, handler.name, self._router.lane(handler, command))
        delivery.state, delivery.attempt, delivery.error = "parked", attempt, reason
        await self._notices.given_up(draft, delivery, reason)


def _in_one_trace(one: str | None, other: str | None) -> bool:
    """Whether two traceparents name places in one trace, sampled or not alike: else a story stays where it is."""
    return one is not None and other is not None and (one[:35], one[-2:]) == (other[:35], other[-2:])


def _parks(command: Envelope) -> bool:
    """Whether a command that is given up waits for a person: an undo, or one from outside."""
    return command.sender is None or command.undoes is not None
