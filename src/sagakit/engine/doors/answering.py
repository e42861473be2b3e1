"""The answer door: what a participant says of a command that was handed over to it becomes the command's outcome."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from sagakit.core.commit import Delivery, Envelope
from sagakit.core.lifecycle import HANDED_OVER, HandedOver
from sagakit.core.messages import stable_id
from sagakit.engine.draft import Draft, Failure
from sagakit.engine.handlers.notices import Notices
from sagakit.engine.handlers.reading import Reader
from sagakit.engine.handlers.withdrawing import Withdrawing
from sagakit.engine.inbox import Door, entry
from sagakit.engine.routing import Router
from sagakit.engine.topology import ServiceConsumer
from sagakit.errors import NotFound, NotPossible, Refused
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

    def digest(self, payloads: Sequence[str]) -> str:
        """The same for the same answer."""
        return stable_id(*payloads, f"{self.failed} {self.known_not_done}")


class Answering:
    """Takes answers, as the outcomes of the commands that they are for."""

    def __init__(
        self, router: Router, store: Store, read: Reader, door: Door, withdrawing: Withdrawing, notices: Notices
    ) -> None:
        self._router = router
        self._codecs = router.topology.codecs
        self._store = store
        self._read = read
        self._door = door
        self._withdrawing = withdrawing
        self._notices = notices
        self._handed: OrderedDict[str, tuple[Envelope, int]] = OrderedDict()
        """What waits for an answer, with the attempt that has handed it over, by command id; the newest of them."""

    def handed_over(self, delivery: Delivery) -> None:
        """A command waits for its answer from now on."""
        self._handed[delivery.envelope.id] = (delivery.envelope, delivery.attempt)
        if len(self._handed) > REMEMBERED:
            self._handed.popitem(last=False)

    async def answer(self, command_id: str, correlation_id: str, answer: Answer) -> Receipt:
        """Record an answer as its command's outcome. Returns once that is durable."""
        self._door.check_open()
        if answer.failed is not None and answer.events:
            raise TypeError("answer takes the events that the command led to, or failed=")
        command = await self._command(command_id, correlation_id)
        sealed = [self._codecs.seal(event) for event in answer.events]
        digest = answer.digest([f"{codec.name} {payload.decode()}" for codec, payload, _ in sealed])
        key = answer.message_id or stable_id(command_id, digest)
        by = f"sagakit.answer/{stable_id(answer.source, key)}"
        receipt = Receipt(command_id, correlation_id)

        async def build(draft: Draft) -> None:
            if answer.failed is None:
                await self._take_back(draft, command)
                await self._succeeded(draft, command, answer.events, by)
            else:
                await self._failed(draft, command, answer, by)

        known = await self._door.write(build, entry(f"answers/{answer.source}", key, digest, receipt))
        if known is None:
            self._handed.pop(command_id, None)
        return known or receipt

    async def _command(self, command_id: str, correlation_id: str) -> Envelope:
        handed = self._handed.get(command_id)
        command = handed[0] if handed else await self._read(self._store.read_message, correlation_id, command_id)
        if command is None or command.kind != "command" or command.correlation_id != correlation_id:
            raise NotFound(f"there is no command {command_id!r} in the story {correlation_id!r}")
        handler = self._router.topology.handlers.get(self._codecs.named(command.type).cls)
        if not isinstance(handler, ServiceConsumer):
            name = handler.name if handler else "a process"
            raise NotPossible(f"{command.type} is handled by {name} of this app: its outcome comes from there")
        return command

    async def _take_back(self, draft: Draft, command: Envelope) -> int | None:
        """An answer that comes early is taken: nothing more is made of the command, and its run is cancelled.

        Returns the attempt that has handed it over, or 0 if none has yet; None if that is not known.
        """
        handed = self._handed.get(command.id)
        if handed is not None:
            return handed[1]
        before = len(draft.commit.withdrawn)
        await self._withdrawing.decide(draft, command.id)
        return 0 if len(draft.commit.withdrawn) > before else None

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
        reason = answer.failed or "it failed"
        parks = (command.sender is None and not answer.known_not_done) or command.undoes is not None
        if parks and self._withdrawing.is_parked(command.id):
            return  # in a person's hands already: doubled
        since = await self._take_back(draft, command)
        if parks and since is None:
            since = await self._open_since(command)
            if since is None:
                return  # settled before: doubled
        await self._router.failure(draft, command, reason, known_not_done=answer.known_not_done, by=by)
        if parks:
            await self._park(draft, command, reason, since or 0)
        elif command.sender is None:
            draft.stories.append(Failure(command.correlation_id, Refused(reason)))

    async def _park(self, draft: Draft, command: Envelope, reason: str, attempt: int) -> None:
        """It waits for a person, who may have it handed over once more."""
        message = command.message or self._codecs.decode(command.type, command.version, command.payload)
        command.message = message
        handler = self._router.topology.handlers[message.__class__]
        assert isinstance(handler, ServiceConsumer)
        delivery = draft.deliver(command, handler.name, self._router.lane(handler, command))
        delivery.state, delivery.attempt, delivery.error = "parked", max(attempt, 1), reason
        await self._notices.given_up(draft, delivery, reason)
