"""The world outside: what handlers do to it by idempotency key. It survives every engine, and follows a script."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from sagakit import TerminalError

Reply: TypeAlias = Literal["done", "refused", "nothing", "noted", "fails", "lost", "broken", "broken after"]
"""How the world answers a call.

done: the effect, and the success. refused: no effect, and the refusal. nothing: no effect, no event.
noted: as done, with an event more. fails: a technical error without an effect. lost: the effect, and then a technical
error. broken and broken after: the same with a terminal error.
"""

ADDS = {"reserve": "stock", "charge": "money", "ship": "parcel", "confirm": "confirmation", "cancel": "cancellation"}
TAKES = {"release": "stock", "refund": "money", "recall": "parcel"}


class Broken(TerminalError):
    """No further attempt can help."""


class World:
    """What is held of each order, and how often it was asked to be changed.

    The script names the replies of an action, or of "action order": one for each run of a key, the last one for more.
    """

    def __init__(self, **script: Reply | tuple[Reply, ...]) -> None:
        self._script: dict[str, tuple[Reply, ...]] = {
            action: (replies,) if isinstance(replies, str) else replies for action, replies in script.items()
        }
        self.calls: Counter[tuple[str, str]] = Counter()
        """By action and idempotency key: every run of a handler."""
        self.effects: dict[str, str] = {}
        """The action of each idempotency key that had an effect, in the order of the effects."""
        self.held: defaultdict[str, list[str]] = defaultdict(list)
        """By order: what it holds now."""
        self.waits: dict[str, Callable[[], Any]] = {}
        """By action: what a call of it awaits before it does anything."""

    @property
    def applied(self) -> list[str]:
        """The actions that had an effect, in their order."""
        return list(self.effects.values())

    def runs(self, action: str) -> int:
        """How often handlers ran for an action."""
        return sum(count for (name, _), count in self.calls.items() if name == action)

    async def act(
        self, action: str, order_id: str, key: str, success: Any, refusal: Any = None, note: Any = None
    ) -> Any:
        """One call: what the handler answers."""
        self.calls[action, key] += 1
        if action in self.waits:
            answer = self.waits[action]()
            if asyncio.iscoroutine(answer) or isinstance(answer, asyncio.Future):
                await answer
        return self.answer(action, order_id, key, success, refusal, note)

    def answer(self, action: str, order_id: str, key: str, success: Any, refusal: Any = None, note: Any = None) -> Any:
        """The effect and the answer that the script has for this run."""
        replies = self._script.get(f"{action} {order_id}") or self._script.get(action, ("done",))
        reply = replies[min(self.calls[action, key], len(replies)) - 1]
        if reply in ("done", "noted", "lost", "broken after"):
            self._apply(action, order_id, key)
        if reply in ("fails", "lost"):
            raise ConnectionError(f"{action} could not be reached")
        if reply in ("broken", "broken after"):
            raise Broken(f"{action} is broken")
        if reply == "refused":
            return refusal
        if reply == "nothing":
            return []
        return [success, note] if reply == "noted" else success

    def _apply(self, action: str, order_id: str, key: str) -> None:
        if key in self.effects:
            return
        self.effects[key] = action
        held = self.held[order_id]
        if action in ADDS:
            held.append(ADDS[action])
        elif TAKES[action] in held:
            held.remove(TAKES[action])
