"""The operator's door: what a person may do, each with a reason, each recorded in the log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal, TypeAlias, get_args

from msgspec import Struct, structs

from sagakit.core.commit import Delivery, Pause, PauseScope
from sagakit.core.lifecycle import OperatorActed
from sagakit.core.queries import DeliveryQuery
from sagakit.core.streams import lane_name
from sagakit.engine.limiting.throttle import Waiting
from sagakit.engine.operating.acting import Act, Acted, Acting
from sagakit.engine.operating.deliveries import DeliveryActions
from sagakit.engine.operating.delivery_explained import explain_delivery
from sagakit.engine.operating.detector import Detector, Stuck
from sagakit.engine.operating.explain import explain
from sagakit.engine.operating.explanation import Explanation
from sagakit.engine.operating.facts import Gathering
from sagakit.engine.operating.instances import InstanceActions
from sagakit.engine.operating.pauses import Pauses
from sagakit.engine.routing import Router
from sagakit.errors import InvalidMessage, NotPossible, TerminalError
from sagakit.ports import Store

InstanceAction: TypeAlias = Literal[
    "cancel",
    "abandon",
    "compensate",
    "resume_compensation",
    "rerun_failed",
    "retry",
    "skip_step",
    "give_result",
    "pause",
    "resume",
]
DeliveryAction: TypeAlias = Literal["retry", "edit", "drop"]

AT_ONCE = 50
"""Deliveries of a `retry_all` that are retried at the same time: they share transactions."""
LONGEST_REASON = 2_000


class Retried(Struct, frozen=True):
    """What came of a `retry_all`."""

    retried: int
    failed: dict[str, str]
    """The ids of deliveries that could not be retried, with the reason in words."""


class Operator:
    """Looks into an engine, and acts beside its lanes."""

    def __init__(
        self,
        store: Store,
        acting: Acting,
        instances: InstanceActions,
        deliveries: DeliveryActions,
        pauses: Pauses,
        router: Router,
        check_open: Callable[[], None],
        waits_for: Callable[[Delivery], Waiting | None],
    ) -> None:
        self._store = store
        self._acting = acting
        self._instances = instances
        self._deliveries = deliveries
        self._pauses = pauses
        self._topology, self._clock = router.topology, router.clock
        self._check_open = check_open
        self._waits_for = waits_for

    # ------------------------------------------------------------------ looking

    async def explain(self, id: str) -> Explanation:
        """Why an instance stands where it stands: since when, who can unblock it, and which command does."""
        return explain(await self._gathering().of_instance(id))

    async def explain_delivery(self, id: int) -> tuple[Delivery, Explanation]:
        """A delivery, and why it stands where it stands."""
        delivery = await self._deliveries.read(id)
        return delivery, explain_delivery(await self._gathering().of_delivery(delivery), engine=True)

    async def stuck(self, *, limit: int = 50, after: int | None = None) -> list[Stuck]:
        """Instances that wait for a person, are past a time of theirs, or have been still for longer than their type.

        The oldest first; `after` is the number of the last one seen.
        """
        return await Detector(self._store, self._topology, self._clock.now()).find(limit=limit, after=after)

    def _gathering(self) -> Gathering:
        return Gathering(
            self._store,
            self._topology,
            self._clock.now(),
            runs=True,
            waits_for=self._waits_for,
            is_here=self._is_here,
        )

    def _is_here(self, delivery: Delivery) -> bool:
        """Whether what keeps a delivery from beginning would be known here."""
        return True

    # ------------------------------------------------------------------ instances and deliveries

    async def act(
        self,
        id: str,
        action: InstanceAction,
        *,
        by: str,
        reason: str,
        expected_version: int | None = None,
        step: str | None = None,
        message: str | None = None,
        payload: object = None,
    ) -> Acted:
        """Do something to an instance. NotPossible if it does not fit how it stands; StaleVersion if it has moved on.

        `step` (for skip_step and give_result): the id or type of the step's command, or its ordinal; needed where
        several are under way. For rerun_failed it may name the batch, which has to be the last one. `message` and
        `payload` (for give_result): the type and the fields of the result, or of an event that the instance waits for.
        """
        self._check_open()
        acted = _acted(action, id, by, reason, get_args(InstanceAction))
        if action in ("pause", "resume"):
            await self._instances.read(id)
            return await self._pause("instance", id, acted)
        if action == "retry":
            row = await self._instances.read(id)
            if row.status == "compensation_failed":
                acted = _acted("resume_compensation", id, by, reason)
            elif row.status != "parked":
                return await self._retry_sent(row.type, id, acted)
        given = None if message is None else (message, b"{}" if payload is None else payload)
        return await self._instances.act(id, acted, expected_version=expected_version, step=step, message=given)

    async def act_on_delivery(
        self,
        id: int,
        action: DeliveryAction,
        *,
        by: str,
        reason: str,
        payload: object = None,
        message: str | None = None,
        keep_key: bool = False,
        undo_first: bool = False,
    ) -> Acted:
        """Do something to a delivery.

        For edit, `payload` has all fields of the message; of several messages, `message` names the type.
        """
        self._check_open()
        acted = _acted(action, str(id), by, reason, get_args(DeliveryAction))
        if action == "retry":
            return await self._deliveries.retry(id, acted)
        if action == "drop":
            return await self._deliveries.drop(id, acted)
        if payload is None:
            raise InvalidMessage("payload: give all fields of the message, as JSON")
        return await self._deliveries.edit(
            id, acted, payload, message=message, keep_key=keep_key, undo_first=undo_first
        )

    async def retry_all(self, query: DeliveryQuery, *, by: str, reason: str) -> Retried:
        """Retry every parked or retrying delivery that a query finds; each is recorded. `limit` is that of one page."""
        self._check_open()
        _acted("retry", "", by, reason)
        retried, failed, after = 0, dict[str, str](), query.after
        while page := await self._store.find_deliveries(_page(query, after)):
            after = page[-1].id
            ids = [one.id for one in page if one.state in ("parked", "retrying")]
            for start in range(0, len(ids), AT_ONCE):
                some = ids[start : start + AT_ONCE]
                tries = [self._retry(id, _acted("retry", str(id), by, reason)) for id in some]
                for id, answer in zip(some, await asyncio.gather(*tries, return_exceptions=True), strict=True):
                    if isinstance(answer, TerminalError):
                        failed[str(id)] = str(answer)
                    elif isinstance(answer, BaseException):
                        raise answer
                    else:
                        retried += 1
        return Retried(retried, failed)

    # ------------------------------------------------------------------ pauses

    def pauses(self) -> list[Pause]:
        """All that stands still, in the order in which it was paused."""
        return self._pauses.all()

    async def pause(self, scope: PauseScope, name: str = "", *, by: str, reason: str) -> Acted:
        """Let nothing of this be handled until it is resumed. Timers keep their due times."""
        self._check_open()
        return await self._pause(scope, name, _acted("pause", _target(scope, name), by, reason))

    async def resume(self, scope: PauseScope, name: str = "", *, by: str, reason: str) -> Acted:
        """Let it go on, with all that came meanwhile, in order."""
        self._check_open()
        return await self._pause(scope, name, _acted("resume", _target(scope, name), by, reason))

    async def _pause(self, scope: PauseScope, name: str, acted: OperatorActed) -> Acted:
        if acted.action == "pause":
            self._pauses.check(scope, name)
        elif self._pauses.find(scope, name) is None:
            known = ", ".join(_target(one.scope, one.name) for one in self._pauses.all()) or "nothing"
            raise NotPossible(f"resume: {_target(scope, name)} is not paused; paused: {known}")
        if scope == "instance":
            return await self._instances.act(name, acted, also=lambda act: self._write(act, scope, name))
        act = self._acting.begin(acted)
        self._write(act, scope, name)
        await self._acting.commit(act)
        return Acted(act.envelope.id, acted.action, acted.target)

    def _write(self, act: Act, scope: PauseScope, name: str) -> None:
        acted, commit = act.acted, act.draft.commit
        if acted.action == "pause":
            pause = Pause(scope, name, acted.by, acted.reason, self._clock.now())
            commit.pauses.append(pause)
            act.afterwards(lambda: self._pauses.began([pause]))
        else:
            commit.resumed.append((scope, name))
            act.afterwards(lambda: self._pauses.ended([(scope, name)]))

    async def _retry_sent(self, type: str, id: str, acted: OperatorActed) -> Acted:
        """Nothing is wrong with the instance itself: try what it waits for now."""
        found = await self._store.find_deliveries(DeliveryQuery(state="retrying", sender=lane_name(type, id)))
        if not found:
            raise NotPossible("retry: nothing of this instance is parked or waits to be tried again; explain says more")
        done = [await self._retry(one.id, structs.replace(acted, target=str(one.id))) for one in found]
        return Acted(done[-1].message_id, "retry", id)

    async def _retry(self, id: int, acted: OperatorActed) -> Acted:
        return await self._deliveries.retry(id, acted)


def _acted(action: str, target: str, by: str, reason: str, known: tuple[str, ...] = ()) -> OperatorActed:
    if known and action not in known:
        raise InvalidMessage(f"action: there is no {action!r}; there are {', '.join(known)}")
    for name, value, longest in (("by", by, 200), ("reason", reason, LONGEST_REASON)):
        if not value.strip() or len(value) > longest:
            raise InvalidMessage(f"{name}: say {'who' if name == 'by' else 'why'}, in 1 to {longest} characters")
    return OperatorActed(action=action, target=target, by=by, reason=reason)


def _target(scope: PauseScope, name: str) -> str:
    return "all" if scope == "all" else f"{scope} {name}"


def _page(query: DeliveryQuery, after: int) -> DeliveryQuery:
    return structs.replace(query, after=after)
