"""Random programs for a code saga: drawn, written into the message that starts it, and walked through by its code."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct

from sagakit import Message, NotDone, Saga
from sagakit.testing.simulation.wanderers.messages import (
    Book,
    Booked,
    Clear,
    Errand,
    ErrandDone,
    Note,
    Pack,
    Packed,
    Paid,
    Pay,
    Put,
    Refund,
    Signal,
    Stored,
    Strolled,
    Take,
    Unbook,
    Unerrand,
    Unpack,
    Wrong,
)

Ask: TypeAlias = Literal["book", "pay", "pack", "put"]
ASKS: tuple[Ask, ...] = ("book", "pay", "pack", "put")


class Do(Struct, tag=True, frozen=True):
    """Ask for something, and wait."""

    ask: Ask
    undoing: Literal["none", "message", "function"] = "message"
    any_outcome: bool = False
    timeout: float | None = None


class Receive(Struct, tag=True, frozen=True):
    """Wait for a signal, perhaps only for so many seconds."""

    timeout: float | None = None


class Sleep(Struct, tag=True, frozen=True):
    """Wait for so many seconds."""

    seconds: float


class Child(Struct, tag=True, frozen=True):
    """Let another saga do these, and wait for it."""

    parts: tuple[Do | Sleep, ...]
    timeout: float | None = None


class Batch(Struct, tag=True, frozen=True):
    """Ask for something many times."""

    count: int
    at_once: int
    stop_at: int | None = None
    undoable: bool = True


class Small(Struct, tag=True, frozen=True):
    """What needs no waiting."""

    what: Literal["publish", "send", "on_undo", "undo"]


class Bug(Struct, tag=True, frozen=True):
    """The author's mistake: the instance parks."""


class Seq(Struct, tag=True, frozen=True):
    """One after the other."""

    parts: tuple[Node, ...]


class Try(Struct, tag=True, frozen=True):
    """Another way if something is not done."""

    body: Node
    otherwise: Node


class Join(Struct, tag=True, frozen=True):
    """Side by side: until all are settled, or the first."""

    first: bool
    branches: tuple[Node, ...]


Node: TypeAlias = Do | Receive | Sleep | Child | Batch | Small | Bug | Seq | Try | Join

_decode = msgspec.json.Decoder(Seq).decode


def draw_program(chance: Random, *, bugs: bool = False) -> Seq:
    """A program of a few steps."""
    parts = [_draw(chance, 2) for _ in range(chance.randint(1, 5))]
    if bugs:
        parts.append(Bug())
    return Seq(tuple(parts))


def _draw(chance: Random, depth: int) -> Node:
    share = chance.random() if depth else 0.0
    if share < 0.55:
        undoing = chance.choice(("none", "message", "function", "function"))
        timeout = round(chance.uniform(0.5, 8.0), 3) if chance.random() < 0.25 else None
        return Do(chance.choice(ASKS), undoing, any_outcome=chance.random() < 0.1, timeout=timeout)
    if share < 0.76:
        kind = chance.choices((_draw_wait, _draw_several, _draw_small), (4, 3, 3))[0]
        return kind(chance)
    return _draw_compound(chance, depth)


def _draw_compound(chance: Random, depth: int) -> Node:
    share = chance.random()
    if share < 0.3:
        return Seq(tuple(_draw(chance, depth - 1) for _ in range(chance.randint(1, 3))))
    if share < 0.6:
        return Try(_draw(chance, depth - 1), _draw(chance, depth - 1))
    return Join(chance.random() < 0.5, tuple(_draw(chance, depth - 1) for _ in range(chance.randint(2, 3))))


def _draw_small(chance: Random) -> Node:
    return Small(chance.choice(("publish", "send", "on_undo", "undo")))


def _draw_wait(chance: Random) -> Node:
    seconds = round(chance.uniform(0.1, 15.0), 3)
    return chance.choice((Sleep(seconds), Receive(seconds), Receive()))


def _draw_several(chance: Random) -> Node:
    if chance.random() < 0.5:
        stop_at = chance.choice((None, None, 1, 3))
        return Batch(chance.randint(0, 12), chance.randint(1, 4), stop_at, undoable=chance.random() < 0.7)
    parts = tuple(Do(chance.choice(ASKS)) if chance.random() < 0.8 else Sleep(2.0) for _ in range(chance.randint(1, 3)))
    return Child(parts, round(chance.uniform(1.0, 20.0), 3) if chance.random() < 0.3 else None)


def encode_program(program: Seq) -> str:
    """As the message that starts it carries it."""
    return msgspec.json.encode(program).decode()


def is_straight(program: str) -> bool:
    """Whether it does nothing but one thing after the other: its undoing is known beforehand."""
    return all(isinstance(part, Do | Receive | Sleep) for part in _decode(program).parts)


def make(ask: Ask, key: str, n: int, *, undoable: bool = True) -> tuple[Message, type[Message], Message]:
    """What is asked for, its success, and its undo with nothing known."""
    till = f"till-{n % 3}"
    shelf = f"shelf-{n % 2}"
    match ask:
        case "book":
            return Book(key, n, undoable), Booked, Unbook(key, n)
        case "pay":
            return Pay(key, n, till, undoable), Paid, Refund(key, n)
        case "pack":
            return Pack(key, n, undoable), Packed, Unpack(key, n)
        case "put":
            return Put(key, n, shelf, undoable), Stored, Take(key, n, shelf)


async def walk(key: str, program: str, saga: Saga) -> None:
    """Go through a program."""
    await Walk(key, saga).node(_decode(program))


class Walk:
    """One walk. Everything that is asked for has a number of its own, the same in a replay."""

    def __init__(self, key: str, saga: Saga) -> None:
        self._key = key
        self._saga = saga
        self._number = 0

    async def node(self, node: Node) -> None:
        """Go through one part."""
        match node:
            case Do():
                await self._do(node)
            case Receive() | Sleep():
                await self._wait(node)
            case Child():
                await self._child(node)
            case Batch():
                await self._batch(node)
            case Small():
                await self._small(node.what)
            case Bug():
                raise KeyError("a bug of the author's")
            case Seq():
                for part in node.parts:
                    await self.node(part)
            case Try():
                try:
                    await self.node(node.body)
                except NotDone:
                    await self.node(node.otherwise)
            case Join():
                branches = [self._branch(branch) for branch in node.branches]
                await (self._saga.first if node.first else self._saga.all)(*branches)

    def _branch(self, node: Node) -> Any:
        """Some branches are operations as they are, without a coroutine around."""
        return self._do(node) if isinstance(node, Do) else self.node(node)

    def _do(self, node: Do) -> Any:
        self._number += 1
        n = self._number
        command, success, undo = make(node.ask, self._key, n, undoable=node.undoing != "none")

        def exact(facts: Any) -> Message:
            if node.ask == "put" or facts.outcome is None:
                return undo
            return _placed(undo, facts.outcome)

        how: Any = {"none": None, "message": undo, "function": exact}[node.undoing]
        then: Any = None if node.any_outcome else success
        return self._saga.do(command, then=then, undo=how, timeout=node.timeout)

    async def _wait(self, node: Receive | Sleep) -> None:
        """A time that is waited for is never early: the saga says so if it was."""
        saga, began = self._saga, self._saga.now
        if isinstance(node, Sleep):
            await saga.sleep(node.seconds)
            seconds = node.seconds
        elif await saga.receive(Signal, timeout=node.timeout) is None:
            seconds = node.timeout or 0.0
        else:
            return
        if saga.now - began < timedelta(seconds=seconds):
            saga.publish(Wrong(self._key, f"woke early: {seconds} s after {began} was {saga.now}"))

    async def _child(self, node: Child) -> None:
        self._number += 1
        key, n = f"{self._key}.{self._number}", self._number
        errand, undo = Errand(key, n, encode_program(Seq(node.parts))), Unerrand(key, n)
        await self._saga.do(errand, then=ErrandDone, undo=undo, timeout=node.timeout)

    async def _batch(self, node: Batch) -> None:
        self._number += 1
        key, first = self._key, self._number * 1_000
        each = await self._saga.each(
            range(first, first + node.count),
            lambda n: Book(key, n, node.undoable),
            then=Booked,
            at_once=node.at_once,
            stop_at=node.stop_at,
            undo=(lambda n: Unbook(key, n)) if node.undoable else None,
        )
        if each.done + each.failed != node.count or len(list(each.failures())) != each.failed:
            self._saga.publish(Wrong(key, f"a batch of {node.count} came to {each}"))

    async def _small(self, what: str) -> None:
        self._number += 1
        n, saga = self._number, self._saga
        match what:
            case "publish":
                saga.publish(Strolled(self._key, saga.new_id("stroll")))
            case "send":
                saga.send(Note(self._key, n))
            case "on_undo":
                saga.on_undo(lambda undo: Clear(self._key, n, undo.reason))
            case _:
                await saga.undo()


def _placed(undo: Any, outcome: Any) -> Message:
    return type(undo)(undo.key, undo.n, getattr(outcome, "place", ""))
