"""An operator's hands where several workers share a store: what another one owns, that one is asked to do.

A request is durable: a message and a delivery in the partition that it is about. Whoever owns that carries it out
beside the lane; that it was done, and the answer, are in the Commit of the action itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import msgspec

from sagakit.core.cluster.members import OPERATOR
from sagakit.core.commit import Delivery, Envelope, PauseScope, Rejected
from sagakit.core.lifecycle import OperatorActed, OperatorAnswered, OperatorAsked
from sagakit.core.messages import derived_id
from sagakit.core.streams import lane_name, partition, partition_of
from sagakit.engine.draft import Draft
from sagakit.engine.lanes.lane import Lane, Moved
from sagakit.engine.lanes.lanes import Lanes
from sagakit.engine.operating.acting import Act, Acted
from sagakit.engine.operating.operator import DeliveryAction, InstanceAction, Operator
from sagakit.engine.routing import Router
from sagakit.engine.watching.watching import Watching
from sagakit.errors import (
    InvalidMessage,
    NotFound,
    NotPossible,
    RetryableError,
    StaleVersion,
    StoreUnusable,
    TerminalError,
    WaitTimeout,
)
from sagakit.ports import Chance, Store

LANE = "!o/"
PATIENCE = 30.0
"""Seconds that the asker waits for an answer, beside the time in which others notice that its owner is gone."""

ERRORS: Mapping[str, type[TerminalError]] = {
    one.__name__: one for one in (NotFound, NotPossible, InvalidMessage, TerminalError)
}


class Request:
    """One that is being carried out here."""

    def __init__(self, lane: Lane, delivery: Delivery, asked: OperatorAsked) -> None:
        self.lane = lane
        self.delivery = delivery
        self.asked = asked
        self.answered = False
        """The Commit of its action holds the answer."""


REQUEST: ContextVar[Request | None] = ContextVar("sagakit_request", default=None)


@dataclass(frozen=True)
class Desk:
    """What requests work with."""

    router: Router
    store: Store
    chance: Chance
    lanes: Lanes
    submit: Callable[[Draft], None]
    watching: Watching
    is_here: Callable[[str, int], bool]
    """Whether a partition of a consumer is owned here."""
    is_owned: Callable[[str], bool]
    """Whether any worker has the code for a consumer."""
    interest: Callable[[str], None]
    lease: float
    """Seconds after which others take over from one that has crashed: what it was asked for, too."""


class SharedOperator(Operator):
    """Acts here on what is owned here, and asks others for the rest."""

    desk: Desk

    def join(self, desk: Desk) -> None:
        """Work with others."""
        self.desk = desk
        self._acting.before_commit = self._answer_with
        self._instances.ask_elsewhere = self._ask_anew

    # ------------------------------------------------------------------ asking

    async def act(self, id: str, action: InstanceAction, **options: Any) -> Acted:
        """Do something to an instance, wherever it is."""
        row = await self._instances.read(id)
        lane = lane_name(row.type, row.id)
        while self._is_mine(row.type, partition(lane)):
            with suppress(Moved):
                return await super().act(id, action, **options)
        return await self._ask("instance", row.type, lane, partition(lane), id, {"action": action} | options)

    async def act_on_delivery(self, id: int, action: DeliveryAction, **options: Any) -> Acted:
        """Do something to a delivery, wherever it is."""
        delivery = await self._deliveries.read(id)
        while self._is_mine(delivery.consumer, partition_of(delivery)):
            with suppress(Moved):
                return await super().act_on_delivery(id, action, **options)
        given = {"action": action} | options
        return await self._ask_for(delivery, given)

    async def _retry(self, id: int, acted: OperatorActed) -> Acted:
        return await self.act_on_delivery(id, "retry", by=acted.by, reason=acted.reason)

    async def _pause(self, scope: PauseScope, name: str, acted: OperatorActed) -> Acted:
        if scope != "instance":
            return await super()._pause(scope, name, acted)
        row = await self._instances.read(name)
        lane = lane_name(row.type, row.id)
        if REQUEST.get() is not None or self._is_mine(row.type, partition(lane)):  # asked to, it asks nobody else
            return await super()._pause(scope, name, acted)
        options = {"action": acted.action, "by": acted.by, "reason": acted.reason}
        return await self._ask("instance", row.type, lane, partition(lane), name, options)

    def _is_here(self, delivery: Delivery) -> bool:
        return self.desk.is_here(delivery.consumer, partition_of(delivery))

    def _is_mine(self, consumer: str, number: int) -> bool:
        """Also where it is nobody's: code that is gone stands in nobody's way."""
        return self.desk.is_here(consumer, number) or not self.desk.is_owned(consumer)

    async def _ask_for(self, delivery: Delivery, options: dict[str, Any]) -> Acted:
        at = partition_of(delivery)
        return await self._ask("delivery", delivery.consumer, delivery.lane, at, str(delivery.id), options)

    async def _ask(
        self, what: Any, consumer: str, lane: str, number: int, target: str, options: dict[str, Any]
    ) -> Acted:
        self._check_open()
        by, reason = options.pop("by"), options.pop("reason")
        arguments = msgspec.Raw(msgspec.json.encode({name: _plain(value) for name, value in options.items()}))
        asked = OperatorAsked(what, consumer, target, by, reason, arguments)
        draft = Draft(_asked)
        draft.at_door = True
        request = self._request(draft, asked, lane, number)
        waiter = draft.subject = self.desk.watching.expect(request.correlation_id, (OperatorAnswered,), new=True)
        self.desk.interest(request.correlation_id)
        try:
            self.desk.submit(draft)
            answer: OperatorAnswered = await self.desk.watching.outcome(waiter, PATIENCE + 2 * self.desk.lease)
        except WaitTimeout as late:
            raise WaitTimeout(
                f"the worker that owns {target} has not answered: what was asked for stands in the log as "
                f"{request.id}, and whoever owns it next does it"
            ) from late
        finally:
            self.desk.watching.leave(waiter)
        if answer.error:
            raise _error(answer)
        return Acted(answer.message_id, answer.action, answer.target, answer.status, answer.version)

    def _request(self, draft: Draft, asked: OperatorAsked, lane: str, number: int, story: str = "") -> Envelope:
        """Add a request to a draft."""
        id = self.desk.chance.new_id()
        codec, payload, sealed = self._topology.codecs.seal(asked)
        now = self._clock.now()
        envelope = Envelope(id, "command", codec.name, payload, story or id, now, codec.version, message=sealed)
        draft.commit.messages.append(envelope)
        draft.commit.deliveries.append(Delivery(envelope, OPERATOR, f"{LANE}{lane}", partition=number))
        return envelope

    def _ask_anew(self, act: Act, found: Delivery) -> bool:
        """An instance wants its parked undo tried again, which is at home elsewhere."""
        number = partition_of(found)
        if self._is_mine(found.consumer, number):
            return False
        acted = act.acted
        asked = OperatorAsked("anew", found.consumer, str(found.id), acted.by, acted.reason)
        self._request(act.draft, asked, found.lane, number, act.envelope.correlation_id)
        return True

    # ------------------------------------------------------------------ being asked

    async def carry_out(self, lane: Lane, delivery: Delivery) -> None:
        """A request is the head of its lane: do what it asks for, and answer."""
        codecs = self._topology.codecs
        envelope = delivery.envelope
        envelope.message = codecs.decode(envelope.type, envelope.version, envelope.payload)
        request = Request(lane, delivery, envelope.message)
        token = REQUEST.set(request)
        try:
            await self._do(request.asked)
        except StoreUnusable:
            raise
        except Moved:  # so has this one, most likely
            self.desk.lanes.wake(lane)
        except (TerminalError, RetryableError) as error:
            if not request.answered:
                self._answer(request, _refused(error))
        else:
            if not request.answered:  # what it asked for is done by others, whom this worker has asked
                self._answer(request, OperatorAnswered(message_id="-", action=request.asked.what))
        finally:
            REQUEST.reset(token)

    async def _do(self, asked: OperatorAsked) -> None:
        options = msgspec.json.decode(asked.arguments)
        words = {"by": asked.by, "reason": asked.reason}
        if asked.what == "instance":
            await super().act(asked.target, options.pop("action"), **words, **options)
        elif asked.what == "delivery":
            await super().act_on_delivery(int(asked.target), options.pop("action"), **words, **options)
        else:
            await self._try_anew(int(asked.target), asked)

    async def _try_anew(self, id: int, asked: OperatorAsked) -> None:
        delivery = await self._deliveries.read(id)
        acted = OperatorActed(action="retry", target=str(id), by=asked.by, reason=asked.reason)
        act = self._acting.begin(acted, delivery.envelope.correlation_id, delivery.envelope.id)
        lane = await self._acting.claim(act, delivery.lane)
        known = next((one for one in lane.queue if one.id == id and one.state == "parked"), None)
        if known is None:
            self._acting.abandon(act)
            raise NotPossible("it is being handled: look again")
        act.try_anew(known)
        await self._acting.commit(act)

    def _answer_with(self, act: Act) -> None:
        """The Commit of an action that was asked for holds the answer."""
        request = REQUEST.get()
        if request is None or request.answered:
            return
        request.answered = True
        acted, row = act.acted, next((write.row for write in act.draft.commit.instances), None)
        status, version = (row.status, row.version) if row else ("", 0)
        answer = OperatorAnswered(
            message_id=act.envelope.id, action=acted.action, target=acted.target, status=status, version=version
        )
        self._add(act.draft, request, answer)
        act.afterwards(lambda: self._done(request))
        act.otherwise(lambda: self._failed(request))

    def _answer(self, request: Request, answer: OperatorAnswered) -> None:
        draft = Draft(self._answered, request)
        self._add(draft, request, answer)
        self.desk.submit(draft)

    def _add(self, draft: Draft, request: Request, answer: OperatorAnswered) -> None:
        asked = request.delivery.envelope
        codec, payload, sealed = self._topology.codecs.seal(answer)
        id, now = derived_id(asked.id, OPERATOR, 0), self._clock.now()
        story = asked.correlation_id
        event = Envelope(id, "event", codec.name, payload, story, now, codec.version, asked.id, message=sealed)
        draft.commit.messages.append(event)
        draft.finish(request.delivery)

    def _answered(self, draft: Draft, result: Rejected | BaseException | None) -> None:
        if not isinstance(result, BaseException):
            self._done(draft.subject)

    def _done(self, request: Request) -> None:
        self.desk.lanes.remove_head(request.lane, request.delivery)
        self.desk.lanes.release(request.lane)

    def _failed(self, request: Request) -> None:
        request.answered = False


def _asked(draft: Draft, result: Rejected | BaseException | None) -> None:
    """Whoever asked waits for the answer, unless nobody will ever give it."""
    if isinstance(result, Exception):
        draft.subject.fail(result)


def _plain(value: object) -> object:
    return value.decode() if isinstance(value, bytes) else value


def _refused(error: Exception) -> OperatorAnswered:
    if isinstance(error, StaleVersion):
        return OperatorAnswered(error="StaleVersion", text=str(error), versions=(error.expected, error.found))
    name = next((cls.__name__ for cls in type(error).__mro__ if cls.__name__ in ERRORS), "NotPossible")
    return OperatorAnswered(error=name, text=str(error))


def _error(answer: OperatorAnswered) -> TerminalError:
    if answer.error == "StaleVersion":
        stale = StaleVersion("", *answer.versions)
        stale.args = (answer.text,)
        return stale
    return ERRORS.get(answer.error, NotPossible)(answer.text)
