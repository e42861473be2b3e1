"""What the provider has done, by reference: creating and cancelling are each done once, in whatever order they come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

PRICES: Mapping[str, Decimal] = {"basic": Decimal("9.00"), "pro": Decimal("29.00"), "team": Decimal("99.00")}
MOST_PERSONS = 50
DECLINED = "4000-0000-0000-0002"
"""The card that is always declined."""


class RefusedHere(Exception):
    """The provider says no; the text says why."""


@dataclass
class Books:
    """Everything that was made and taken back."""

    made: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict[tuple[str, str], dict[str, Any]])
    cancelled: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    ledger: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    """Every effect: what was done, to what, for which reference."""

    def create(self, kind: str, reference: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Make it, once for each reference; raises RefusedHere. What was cancelled before it came is not made."""
        place = (kind, reference)
        if place in self.cancelled:
            raise RefusedHere(f"{kind} of {reference} was cancelled before it was asked for")
        if place not in self.made:
            self.made[place] = {"id": f"{kind[:-1]}-{reference}", **_decided(kind, asked)}
            self.ledger.append(("create", kind, reference))
        return self.made[place]

    def cancel(self, kind: str, reference: str) -> None:
        """Take it back, if it was made; and remember that it must not be made any more."""
        place = (kind, reference)
        if self.made.pop(place, None) is not None:
            self.ledger.append(("cancel", kind, reference))
        self.cancelled.add(place)


def _decided(kind: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    if kind == "customers" and "@" not in str(asked.get("email", "")):
        raise RefusedHere(f"{asked.get('email')!r} is no e-mail address")
    if kind == "plans":
        if asked.get("plan") not in PRICES:
            raise RefusedHere(f"there is no plan {asked.get('plan')!r}: {', '.join(PRICES)}")
        return {"price": str(PRICES[asked["plan"]] * int(asked.get("persons", 1)))}
    if kind == "payments" and asked.get("card") == DECLINED:
        raise RefusedHere("your card was declined")
    if kind == "permissions" and int(asked.get("persons", 1)) > MOST_PERSONS:
        raise RefusedHere(f"a team has at most {MOST_PERSONS} persons, not {asked['persons']}")
    return {}
