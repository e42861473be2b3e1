"""What the source of a process sends is seen in every usual way to write it, and what cannot be seen is said so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sagakit import End, Forget, Message, Remind, Saga, Undoing
from sagakit.app.reading.processes import CONTROL
from sagakit.app.reading.source import Do, Made, read_answers, read_saga


@dataclass(frozen=True)
class Item:
    name: str


@dataclass(frozen=True)
class Placed:
    order_id: str
    items: tuple[Item, ...] = ()


@dataclass(frozen=True)
class Reserve:
    order_id: str
    items: tuple[Item, ...] = ()


@dataclass(frozen=True)
class Release:
    order_id: str
    reason: str = ""


@dataclass(frozen=True)
class Charge:
    order_id: str


@dataclass(frozen=True)
class Reserved:
    order_id: str


@dataclass(frozen=True)
class Charged:
    order_id: str


class Steps:
    Reserve = Reserve


def build(order_id: str) -> Reserve | Charge:
    return Reserve(order_id)


def untold(order_id: str):  # type: ignore[no-untyped-def]
    return Charge(order_id) if order_id else None


def release(undo: Any) -> Release:
    return Release("", undo.reason)


def sent(code: Callable[..., Any]) -> frozenset[type]:
    made = read_saga(code, {})
    assert not made.unseen
    return made.commands


def only_step(code: Callable[..., Any]) -> Do:
    [step] = read_saga(code, {}).steps
    return step


# ---------------------------------------------------------------------- code sagas


def test_a_step_with_its_success_and_its_undo() -> None:
    async def saga(order: Placed, saga: Saga) -> None:
        await saga.do(Reserve(order.order_id), then=Reserved, undo=Release(order.order_id))

    step = only_step(saga)
    assert step.commands == {Reserve}
    assert step.then == {Reserved}
    assert step.undos == {Release}
    assert step.line == saga.__code__.co_firstlineno + 1


def test_the_saga_by_any_name() -> None:
    async def code(order: Placed, hands: Saga) -> None:
        await hands.do(Reserve(order.order_id), then=(Reserved, Charged))

    assert only_step(code).then == {Reserved, Charged}


def test_a_step_without_an_expected_event() -> None:
    async def code(order: Placed, saga: Saga) -> None:
        await saga.do(Reserve(order.order_id), then=None)

    assert only_step(code) == Do(only_step(code).line, frozenset({Reserve}), None, frozenset())


def test_undos_as_lambdas_and_functions() -> None:
    async def code(order: Placed, saga: Saga) -> None:
        def local(undo: Any) -> Message:
            return Release(order.order_id) if undo.outcome else Charge("")

        named = lambda undo: Release(order.order_id)  # noqa: E731
        await saga.do(Charge(""), then=Charged, undo=lambda undo: Release(order.order_id, undo.reason))
        await saga.do(Charge(""), then=Charged, undo=local)
        await saga.do(Charge(""), then=Charged, undo=named)
        await saga.do(Charge(""), then=Charged, undo=release)

    undos = [step.undos for step in read_saga(code, {}).steps]
    assert undos == [{Release}, {Release, Charge}, {Release}, {Release}]


def test_the_commands_and_undos_of_batches() -> None:
    async def code(order: Placed, saga: Saga) -> None:
        def one(item: Item) -> Reserve:
            return Reserve(item.name)

        def back(item: Item) -> Release:
            return Release(item.name)

        await saga.each(order.items, one, then=Reserved, at_once=3, undo=back)
        await saga.each(["a"], Charge, then=Charged)
        await saga.each(["a"], lambda name: Charge(name + "x"), then=None)
        await saga.each(["a"], command=build, then=(Reserved, Charged))

    made = read_saga(code, {})
    assert [(step.commands, step.then, step.undos) for step in made.steps] == [
        ({Reserve}, {Reserved}, {Release}),
        ({Charge}, {Charged}, frozenset()),
        ({Charge}, None, frozenset()),
        ({Reserve, Charge}, {Reserved, Charged}, frozenset()),
    ]
    assert not made.unseen


def test_undos_of_the_whole_and_commands_that_are_not_awaited() -> None:
    async def code(order: Placed, saga: Saga) -> None:
        saga.on_undo(Release(order.order_id))
        saga.on_undo(lambda undo: Reserve(undo.reason))
        saga.send(Charge(order.order_id))
        saga.publish(Charged(order.order_id))

    made = read_saga(code, {})
    assert made == Made(sent=frozenset({Charge}), undos=frozenset({Release, Reserve}), published=frozenset({Charged}))
    assert made.commands == {Charge, Release, Reserve}


def test_branches() -> None:
    async def code(order: Placed, saga: Saga) -> None:
        async def both() -> None:
            await saga.do(Charge(""), then=Charged)

        await saga.all(both(), saga.do(Reserve(""), then=Reserved))

    assert sent(code) == {Charge, Reserve}


def test_commands_by_variable_condition_and_loop() -> None:
    async def code(order: Placed, saga: Saga) -> None:
        command = Reserve(order.order_id, tuple(Item(item.name) for item in order.items))
        await saga.do(command, then=Reserved)
        await saga.do(Charge("") if order.items else Release(""), then=None)
        for one in [Charge(item.name) for item in order.items]:
            saga.send(one)
        if (walrus := Release("")).reason:
            saga.send(walrus)

    assert sent(code) == {Reserve, Charge, Release}


def test_commands_made_by_functions() -> None:
    async def code(order: Placed, saga: Saga) -> None:
        def inside() -> Message:
            return Release("")

        await saga.do(build(order.order_id), then=Reserved)
        saga.send(untold(order.order_id))
        saga.send(inside())

    assert sent(code) == {Reserve, Charge, Release}


def test_commands_by_a_path() -> None:
    async def code(order: Placed, saga: Saga) -> None:
        await saga.do(Steps.Reserve(order.order_id), then=Reserved)

    assert sent(code) == {Reserve}


def test_classes_of_the_function_around() -> None:
    @dataclass(frozen=True)
    class Local:
        x: int

    async def code(order: Placed, saga: Saga) -> None:
        await saga.do(Local(1), then=Reserved)

    assert sent(code) == {Local}


async def helper(hands: Saga, order: Placed) -> None:
    await hands.do(Charge(order.order_id), then=Charged, undo=Release(order.order_id))
    await helper(hands, order)


def test_functions_that_are_handed_the_saga() -> None:
    async def code(order: Placed, saga: Saga) -> None:
        await helper(saga, order)

    made = read_saga(code, {})
    assert made.commands == {Charge, Release}
    assert not made.unseen


def test_what_cannot_be_seen() -> None:
    async def given(order: Placed, saga: Saga, *, make: Any = None) -> None:
        await saga.do(make(order), then=Reserved)

    async def taken(order: Placed, saga: Saga) -> None:
        reserve, _ = Reserve(""), 1
        await saga.do(reserve, then=Reserved)

    async def handed(order: Placed, saga: Saga) -> None:
        print(saga)

    for code in (given, taken, handed):
        assert read_saga(code, {}).unseen
        assert not read_saga(code, {}).commands


def test_code_without_source_or_without_a_saga() -> None:
    namespace: dict[str, Any] = {}
    compiled = compile("async def code(order, saga):\n    await saga.do(1)", "<made up>", "exec")
    exec(compiled, namespace)
    assert read_saga(namespace["code"], {}).unseen
    assert read_answers(len, {}).unseen
    assert read_answers(lambda: Reserve(""), {}).unseen

    async def alone(order: Placed) -> None: ...

    assert read_saga(alone, {}) == Made()


# ---------------------------------------------------------------------- answers


class Manager:
    reason = ""

    def react(self, event: Placed | Reserved | Charged) -> Message | Sequence[Message] | None:
        match event:
            case Placed(order_id, items):
                return Reserve(order_id, tuple(Item(item.name) for item in items))
            case Reserved(order_id) if self.reason:
                return [*self.many(order_id), End("completed")]
            case Reserved():
                return None
            case _:
                commands: list[Message] = []
                commands.append(Undoing(Release(event.order_id), of=Reserve(event.order_id)))
                return commands

    def many(self, order_id: str) -> list[Message]:
        return [Charge(order_id)] + [Charge(one) for one in order_id]

    def evolve(self, event: Placed) -> Manager:
        return replace(self)  # type: ignore[type-var]


def test_the_answers_of_a_method_and_of_those_that_it_calls() -> None:
    made = read_answers(Manager.react, {}, Manager)
    assert made.returned == {Reserve, Charge, Release, End}
    assert made.undos == {Release}
    assert not made.unseen


def test_answers_passed_through() -> None:
    def answers(event: Placed) -> Sequence[Message]:
        found = {Charge("a"), Charge("b")}
        return sorted(found, key=repr) or (None,)

    assert read_answers(answers, {}).returned == {Charge}


def test_answers_that_cannot_be_seen() -> None:
    def answers(event: Placed, more: Any = None) -> Sequence[Message]:
        return [Charge(""), *more.get()]

    made = read_answers(answers, {})
    assert made.returned == {Charge}
    assert made.unseen


def test_what_a_reminder_tells_is_no_answer() -> None:
    class Reminding:
        def react(self, event: Placed) -> Any:
            answers: list[Any] = [Remind("pay", Reserved(event.order_id), after=3), Charge("")]
            answers.append(Remind(name="ship", message=Charged(event.order_id), after=3))
            return [*answers, *self.more(), Forget("pay")]

        def more(self) -> Any:
            return Remind("more", Placed(""), after=1)

    made = read_answers(Reminding.react, {}, Reminding)
    assert not made.unseen
    assert made.returned - CONTROL == {Charge}
    assert made.reminded == {Reserved, Charged, Placed}
