"""Random sagas: programs of do, all, first, receive, try and undo, and the code that runs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from hypothesis import strategies as st
from tests.core.messages import DOS, A, B, C, D, Ended, Notify, Paid, Shipped, UndoSaga

from sagakit.core.saga.operations import Saga
from sagakit.errors import NotDone

Undoing: TypeAlias = Literal["none", "message", "function"]


@dataclass(frozen=True)
class Do:
    command: type
    undoing: Undoing
    any_outcome: bool = False
    timeout: float | None = None


@dataclass(frozen=True)
class Receive:
    event: type
    timeout: float | None = None


@dataclass(frozen=True)
class Sleep:
    delay: float


@dataclass(frozen=True)
class Small:
    what: Literal["publish", "send", "on_undo", "undo", "new_id"]


@dataclass(frozen=True)
class Seq:
    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Try:
    body: Node
    otherwise: Node


@dataclass(frozen=True)
class Join:
    first: bool
    branches: tuple[Node, ...]


Node: TypeAlias = Do | Receive | Sleep | Small | Seq | Try | Join

times = st.sampled_from([None, None, None, 1.0, 2.5, 60.0])
dos = st.builds(
    Do,
    st.sampled_from([A, B, C, D]),
    st.sampled_from(["none", "message", "function", "function"]),
    st.booleans(),
    times,
)
receives = st.builds(Receive, st.sampled_from([Paid, Shipped]), times)
sleeps = st.builds(Sleep, st.sampled_from([0.0, 1.0, 30.0]))
smalls = st.builds(Small, st.sampled_from(["publish", "send", "on_undo", "undo", "new_id"]))


def _larger(parts: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    several = st.lists(parts, min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Seq, several),
        st.builds(Try, parts, parts),
        st.builds(Join, st.booleans(), several),
    )


nodes: st.SearchStrategy[Node] = st.recursive(st.one_of(dos, dos, receives, sleeps, smalls), _larger, max_leaves=8)
programs = st.lists(nodes, min_size=1, max_size=4).map(lambda parts: Seq(tuple(parts)))


def code_of(program: Node, made: dict[int, Do] | None = None) -> Callable[..., Any]:
    """The saga that runs a program. Every command has a number of its own; `made` tells of which `Do` it is."""

    async def code(start: Any, saga: Saga) -> None:
        await Run(saga, {} if made is None else made).node(program)

    return code


class Run:
    """One run of a program."""

    def __init__(self, saga: Saga, made: dict[int, Do]) -> None:
        self.saga = saga
        self.made = made
        self.numbers = iter(range(1, 10_000))

    async def node(self, node: Node) -> None:
        match node:
            case Do():
                await self.do(node)
            case Receive(event, timeout):
                await self.saga.receive(event, timeout=timeout)
            case Sleep(delay):
                await self.saga.sleep(delay)
            case Small(what):
                await _small(what, self.saga, next(self.numbers))
            case Join(first, branches):
                await (self.saga.first if first else self.saga.all)(*self.coroutines(branches))
            case Seq() | Try():
                await self.parts(node)

    async def parts(self, node: Seq | Try) -> None:
        if isinstance(node, Seq):
            for part in node.parts:
                await self.node(part)
            return
        try:
            await self.node(node.body)
        except NotDone:
            await self.node(node.otherwise)

    def coroutines(self, branches: Sequence[Node]) -> list[Any]:
        """Some branches are operations as they are, without a coroutine around."""
        found: list[Any] = []
        for branch in branches:
            if isinstance(branch, Do):
                found.append(self.do(branch))
            elif isinstance(branch, Receive):
                found.append(self.saga.receive(branch.event, timeout=branch.timeout))
            elif isinstance(branch, Sleep):
                found.append(self.saga.sleep(branch.delay))
            else:
                found.append(self.node(branch))
        return found

    def do(self, node: Do) -> Any:
        number = next(self.numbers)
        self.made[number] = node
        done, _, undo = DOS[node.command]

        def exact(facts: Any) -> Any:
            return undo(f"{number}:{facts.outcome.id if facts.outcome else '?'}", facts.reason)

        how: Any = {"none": None, "message": undo(f"{number}"), "function": exact}[node.undoing]
        return self.saga.do(
            node.command(number), then=None if node.any_outcome else done, undo=how, timeout=node.timeout
        )


async def _small(what: str, saga: Saga, number: int) -> None:
    match what:
        case "publish":
            saga.publish(Ended(saga.new_id("ended")))
        case "send":
            saga.send(Notify(str(number)))
        case "on_undo":
            saga.on_undo(lambda undo: UndoSaga(f"{number} {undo.reason}"))
        case "undo":
            await saga.undo()
        case _:
            assert saga.new_id("x") != saga.new_id("x")
