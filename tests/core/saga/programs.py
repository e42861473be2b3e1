"""Random sagas: programs of do, all, first, receive, try and undo, and the code that runs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from hypothesis import strategies as st

from sagakit.core.saga.operations import Saga
from sagakit.errors import NotDone
from tests.core.messages import DOS, A, B, C, D, Ended, Notify, Paid, Shipped, UndoSaga

Undoing: TypeAlias = Literal["none", "message", "function"]


@dataclass(frozen=True)
class Do:
    command: type
    undoing: Undoing
    any_outcome: bool = False


@dataclass(frozen=True)
class Receive:
    event: type


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


Node: TypeAlias = Do | Receive | Small | Seq | Try | Join

dos = st.builds(
    Do, st.sampled_from([A, B, C, D]), st.sampled_from(["none", "message", "function", "function"]), st.booleans()
)
receives = st.builds(Receive, st.sampled_from([Paid, Shipped]))
smalls = st.builds(Small, st.sampled_from(["publish", "send", "on_undo", "undo", "new_id"]))


def _larger(parts: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    several = st.lists(parts, min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Seq, several),
        st.builds(Try, parts, parts),
        st.builds(Join, st.booleans(), several),
    )


nodes: st.SearchStrategy[Node] = st.recursive(st.one_of(dos, dos, receives, smalls), _larger, max_leaves=8)
programs = st.lists(nodes, min_size=1, max_size=4).map(lambda parts: Seq(tuple(parts)))


def code_of(program: Node, made: dict[int, Do] | None = None) -> Callable[..., Any]:
    """The saga that runs a program. Every command has a number of its own; `made` tells of which `Do` it is."""

    def do(node: Do, saga: Saga, number: int) -> Any:
        if made is not None:
            made[number] = node
        return _do(node, saga, number)

    async def code(start: Any, saga: Saga) -> None:
        numbers = iter(range(1, 10_000))

        async def run(node: Node) -> None:
            match node:
                case Do():
                    await do(node, saga, next(numbers))
                case Receive(event):
                    await saga.receive(event)
                case Small(what):
                    await _small(what, saga, next(numbers))
                case Seq(parts):
                    for part in parts:
                        await run(part)
                case Try(body, otherwise):
                    try:
                        await run(body)
                    except NotDone:
                        await run(otherwise)
                case Join(first, branches):
                    await (saga.first if first else saga.all)(*_coroutines(branches, run, saga, numbers, do))

        await run(program)

    return code


def _coroutines(branches: Sequence[Node], run: Any, saga: Saga, numbers: Any, do: Any) -> list[Any]:
    """Some branches are operations as they are, without a coroutine around."""
    found: list[Any] = []
    for branch in branches:
        if isinstance(branch, Do):
            found.append(do(branch, saga, next(numbers)))
        elif isinstance(branch, Receive):
            found.append(saga.receive(branch.event))
        else:
            found.append(run(branch))
    return found


def _do(node: Do, saga: Saga, number: int) -> Any:
    done, _, undo = DOS[node.command]

    def exact(facts: Any) -> Any:
        return undo(f"{number}:{facts.outcome.id if facts.outcome else '?'}", facts.reason)

    how: Any = {"none": None, "message": undo(f"{number}"), "function": exact}[node.undoing]
    return saga.do(node.command(number), then=None if node.any_outcome else done, undo=how)  # type: ignore[call-overload]


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
