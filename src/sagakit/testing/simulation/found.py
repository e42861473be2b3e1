"""A promise that was not kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["lost", "doubled", "unsettled", "wrong"]


@dataclass(frozen=True)
class Finding:
    """A promise that was not kept."""

    kind: Kind
    promise: int
    """Its number in the list of what is promised."""
    what: str
