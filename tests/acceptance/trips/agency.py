"""The world of trips: what is held, in which order that came about, and what handlers answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Literal, TypeAlias

from sagakit.errors import TerminalError

Reply: TypeAlias = Literal["done", "refused", "fails", "broken", "broken after"]

STAY = ("room", "table", "wine", "key")
MEAL = ("table", "wine")
ALL = ("visa", "room", "table", "wine", "key", "bag")
"""What a trip holds, in the order in which it comes to it."""


class Broken(TerminalError):
    """No further attempt can help."""


class Agency:
    """What is held of a trip. The script names the replies of an action: one for each run, the last one for more."""

    def __init__(self, **script: Reply | tuple[Reply, ...]) -> None:
        self._script: dict[str, tuple[Reply, ...]] = {
            action.replace("_", " "): (reply,) if isinstance(reply, str) else reply for action, reply in script.items()
        }
        self.done: dict[str, str] = {}
        """The action of each idempotency key that had an effect, in the order of the effects."""
        self.held: list[str] = []
        self.runs: Counter[str] = Counter()
        self._gates: dict[str, asyncio.Event] = {}

    @property
    def actions(self) -> list[str]:
        """All that had an effect, in its order."""
        return list(self.done.values())

    def closes(self, action: str) -> None:
        """Its handlers wait until it is opened."""
        self._gates[action] = asyncio.Event()

    def opens(self, action: str) -> None:
        self._gates[action].set()

    def in_order(self) -> bool:
        """Whether all that was dropped was the last that was held at that moment."""
        held: list[str] = []
        for action in self.actions:
            verb, _, what = action.partition(" ")
            taken = {"stay": STAY, "meal": MEAL}.get(what, (what,))
            if verb == "hold":
                held.append(what)
            elif set(taken) & set(held):
                if tuple(held[-len(taken) :]) != taken:
                    return False
                del held[-len(taken) :]
        return held == self.held

    async def act(self, action: str, key: str, success: Any, refusal: Any = None) -> Any:
        """One run of a handler: what it answers."""
        self.runs[action] += 1
        if action in self._gates:
            await self._gates[action].wait()
        replies = self._script.get(action, ("done",))
        reply = replies[min(self.runs[action], len(replies)) - 1]
        if reply in ("done", "broken after") and key not in self.done:
            self._apply(action)
            self.done[key] = action
        if reply == "fails":
            raise ConnectionError(f"{action} could not be reached")
        if reply in ("broken", "broken after"):
            raise Broken(f"{action} is broken")
        return refusal if reply == "refused" else success

    def _apply(self, action: str) -> None:
        verb, _, what = action.partition(" ")
        if verb == "hold":
            self.held.append(what)
            return
        gone = {"stay": STAY, "meal": MEAL}.get(what, (what,))
        self.held = [one for one in self.held if one not in gone]
