"""The spans of one Commit, and the places that its messages are given: which span each of them comes from.

Where a saga starts it opens a place of its own; what it sends stands under that place, not under the outcome that it
reacts to. So the steps and undos of a saga stand beside one another, in the order of their sending.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from sagakit.core.commit import ENDED, Delivery, Envelope, Reaction, Search
from sagakit.core.streams import lane_name
from sagakit.observer import Written
from sagakit.telemetry.traces.attributes import of_delivery, of_message, of_reaction, verb
from sagakit.telemetry.traces.places import Place, is_sampled, place_of, span_id_of, trace_id_of
from sagakit.telemetry.traces.spans import Span

_K = TypeVar("_K")

LONG_WAIT = 300_000_000
"""Microseconds that a message has waited after which its story goes on in a trace of its own, linked to the first."""
REMEMBERED = 10_000
"""Commands and runs under way whose places are known."""
THOUSAND = 1_000

RUNS = frozenset({"handler", "listener", "forwarder", "replier"})
"""What consumers are whose runs have spans of their own."""


class Drafting:
    """Gives the messages of Commits their places."""

    def __init__(self, roles: Mapping[str, str], now: Callable[[], int]) -> None:
        self._roles = roles
        self._now = now
        self._runs: OrderedDict[tuple[str, str], Place] = OrderedDict()
        """The newest run of a message at a consumer."""
        self._sent: OrderedDict[str, Place] = OrderedDict()
        """The place from which an instance has sent a command, until that is answered."""

    def handling(self, delivery: Delivery, consumer: str) -> tuple[Place, Place | None, tuple[Place, ...]]:
        """The place at which a message is handled, the one that it stands under, and those that it is linked to."""
        envelope = delivery.envelope
        words = (envelope.id, consumer, str(delivery.attempt))
        before = place_of(envelope.trace)
        assert before is not None
        if self._now() - max(envelope.recorded_at, delivery.due_at) > LONG_WAIT:
            return Place(trace_id_of(*words), span_id_of(*words)), None, (before,)
        return Place(before.trace_id, span_id_of(*words)), before, ()

    def ran(self, delivery: Delivery, consumer: str, place: Place) -> None:
        """A user's handler runs at this place."""
        _remember(self._runs, (delivery.envelope.id, consumer), place)

    def spans(self, written: Written, at: int) -> list[Span]:
        """The spans of a Commit that is about to be written (at nanoseconds since 1970), not ended yet."""
        spans: list[Span] = []
        causes: dict[str, Place] = {}
        timers: dict[str, tuple[Place, Place]] = {}
        for delivery in written.handled:
            if not is_sampled(delivery.envelope.trace):
                continue
            if delivery.state == "scheduled":
                spans.append(self._fire(written, delivery, timers, at))
            elif (place := self._handled(written, delivery, spans, at)) is not None:
                causes[delivery.envelope.id] = place
        reacted = {id(output) for reaction in written.commit.reactions for output in reaction.outputs}
        for message in written.commit.messages:
            if (place := causes.get(message.causation_id or "")) is not None and id(message) not in reacted:
                message.trace = place.text()
        for reaction in written.commit.reactions:
            if is_sampled(reaction.inputs[0].trace):
                spans += self._react(written, reaction, timers, at)
        return spans

    # ------------------------------------------------------------------ what was handled

    def _handled(self, written: Written, delivery: Delivery, spans: list[Span], at: int) -> Place | None:
        """The place of a handling; None where a process reacts, which has a place of its own."""
        role = self._roles.get(delivery.consumer, "")
        if role in RUNS:
            place = self._runs.pop((delivery.envelope.id, delivery.consumer), None)
            return place or self.handling(delivery, delivery.consumer)[0]
        if role != "aggregate":
            if any(change.state == "parked" for change in written.commit.changes):
                spans.append(_parked(written, delivery, at))
            return None
        place, parent, links = self.handling(delivery, delivery.consumer)
        name = f"{verb(delivery.envelope)} {delivery.envelope.type}"
        spans.append(Span(name, "consumer", place, parent, at, at, of_delivery(delivery), links=links))
        return place

    def _fire(self, written: Written, delivery: Delivery, timers: dict[str, tuple[Place, Place]], at: int) -> Span:
        """Something scheduled is due: its message comes from there."""
        envelope, now = delivery.envelope, self._now()
        before = place_of(envelope.trace)
        assert before is not None
        long = now - envelope.recorded_at > LONG_WAIT
        trace_id = trace_id_of(envelope.id, "fire") if long else before.trace_id
        place = Place(trace_id, span_id_of(envelope.id, "fire"))
        for message in written.commit.messages:
            if message.id == envelope.id:
                message.trace = place.text()
        timers[envelope.id] = (place, place if long else before)
        attributes = of_message(envelope, "process", "fire")
        attributes["sagakit.timer.late_ms"] = (now - delivery.due_at) / THOUSAND
        links = (before,) if long else ()
        began = min(delivery.due_at * THOUSAND, at)
        return Span(
            f"fire {envelope.type}", "internal", place, None if long else before, began, at, attributes, [], links
        )

    # ------------------------------------------------------------------ reactions

    def _react(
        self, written: Written, reaction: Reaction, timers: Mapping[str, tuple[Place, Place]], at: int
    ) -> Iterator[Span]:
        row, given = reaction.instance, reaction.inputs[0]
        parent = place_of(given.trace)
        assert parent is not None
        own = Place(parent.trace_id, span_id_of(given.id, row.id))
        under = self._under(given, own, timers)
        self._place_outputs(written, reaction, under)
        name = f"{'start' if reaction.version == 1 else 'react'} {row.type}"
        attributes = of_reaction(reaction)
        verdicts = [verdict for process, verdict in written.verdicts if process == row.type]
        if verdicts and len(written.commit.reactions) == 1:
            attributes |= {"sagakit.step": verdicts[0].command, "sagakit.outcome": verdicts[0].outcome}
        span = Span(name, "internal", own, parent, at, at, attributes)
        for search in written.commit.search:
            if search.instance == row.id and search.status == reaction.status:
                if search.status in ("parked", "compensation_failed"):
                    span.error = search.reason
                elif search.status in ENDED and search.ended_at == search.updated_at:
                    yield _end(search, under, at)
        yield span

    def _under(self, given: Envelope, own: Place, timers: Mapping[str, tuple[Place, Place]]) -> Place:
        """Where what a reaction sends stands: where the saga stands, if that is known, else under the reaction."""
        if given.id in timers:
            return timers[given.id][1]
        sent = self._sent.pop(given.causation_id or "", None) if given.sender is None else None
        return sent if sent is not None and sent.trace_id == own.trace_id else own

    def _place_outputs(self, written: Written, reaction: Reaction, under: Place) -> None:
        row, given, text = reaction.instance, reaction.inputs[0], under.text()
        for output in reaction.outputs:
            output.trace = text
            if output.kind == "command":
                _remember(self._sent, output.id, under)
        lane = lane_name(row.type, row.id)
        for delivery in written.commit.deliveries:
            if delivery.state == "scheduled" and delivery.lane == lane and delivery.envelope.causation_id == given.id:
                delivery.envelope.trace = text


def _parked(written: Written, delivery: Delivery, at: int) -> Span:
    """What an instance was told, and could not take."""
    place, parent = place_of(delivery.envelope.trace), None
    assert place is not None
    place, parent = Place(place.trace_id, span_id_of(delivery.envelope.id, delivery.lane, "parked")), place
    span = Span(f"react {delivery.consumer}", "internal", place, parent, at, at, of_delivery(delivery))
    span.error = next((change.error for change in written.commit.changes), None) or "parked"
    return span


def _end(search: Search, under: Place, at: int) -> Span:
    """The whole of an instance, from its start to its end."""
    attributes = {
        "sagakit.process": search.type,
        "sagakit.instance": search.instance,
        "sagakit.process.status": search.status,
        "sagakit.process.cause": search.cause,
        "messaging.message.conversation_id": search.correlation_id,
    }
    place = Place(under.trace_id, span_id_of(search.instance, "end"))
    began = min(search.started_at * THOUSAND, at)
    return Span(f"{search.type} {search.status}", "internal", place, under, began, at, {**attributes})


def _remember(places: OrderedDict[_K, Place], key: _K, place: Place) -> None:
    places[key] = place
    if len(places) > REMEMBERED:
        places.popitem(last=False)
