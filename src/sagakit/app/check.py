"""Everything that must hold of an app, checked at once."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sagakit.app.checks import commands, events, keys, limits, names, provided, shapes, steps, timing
from sagakit.app.reading.parts import Parts
from sagakit.app.reading.roles import Roles


def problems_of(parts: Parts, roles: Roles) -> list[str]:
    """Why this app cannot run, one line each; what its engine's caller may provide is not looked at."""
    found = (
        *parts.problems,
        *names.two_of_one_name(parts),
        *names.owned_by_two(roles),
        *names.two_of_one_wire_name(roles),
        *names.bad_upcasters(parts, roles),
        *commands.two_handlers(roles),
        *commands.commands_taken_as_events(roles),
        *commands.unhandled(parts, roles),
        *commands.impossible_outcomes(parts, roles),
        *events.of_process_managers_alone(parts),
        *events.of_the_engine_alone(parts),
        *events.internal_to_another_module(parts, roles),
        *events.not_evolved(parts),
        *events.starts_with_nothing(parts),
        *keys.without_key(parts, roles),
        *keys.attributes_of_nothing(parts, roles),
        *limits.that_let_nothing_through(parts),
        *steps.that_cannot_be_filled(parts),
        *timing.that_cannot_pass(parts),
        *timing.reminders_without_taker(parts),
        *shapes.states_without_a_beginning(parts),
        *shapes.states_that_do_not_round_trip(parts),
        *shapes.messages_that_do_not_round_trip(parts, roles),
        *provided.twice(parts),
        *provided.in_a_circle(parts),
    )
    return list(dict.fromkeys(" ".join(problem.split()) for problem in found))


def unprovided(parts: Parts, given: Collection[Any]) -> list[str]:
    """What handlers and providers ask for, and neither a provider nor the engine's caller gives."""
    return list(provided.that_nothing_provides(parts, given))


def warnings_of(parts: Parts, roles: Roles) -> list[str]:
    """What may be meant, and may be a mistake."""
    return list(events.taken_by_nobody(parts, roles))
