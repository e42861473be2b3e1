"""What the source of a process sends: its commands, undos and events, as far as they can be seen without running it."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any, TypeAlias

from sagakit.app.reading.resolve import annotations_of, closure_of, named
from sagakit.core.messages import is_message_type
from sagakit.core.process_manager.answers import Remind, Undoing

_Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_PASSES_ON = frozenset({"list", "tuple", "sorted", "reversed", "set", "frozenset"})

_INSIDE: dict[type[ast.expr], Callable[[Any], Iterable[ast.expr]]] = {
    ast.Constant: lambda _: (),
    ast.List: lambda found: found.elts,
    ast.Tuple: lambda found: found.elts,
    ast.Set: lambda found: found.elts,
    ast.IfExp: lambda found: (found.body, found.orelse),
    ast.BoolOp: lambda found: found.values,
    ast.BinOp: lambda found: (found.left, found.right),
    ast.ListComp: lambda found: (found.elt,),
    ast.SetComp: lambda found: (found.elt,),
    ast.GeneratorExp: lambda found: (found.elt,),
    ast.Starred: lambda found: (found.value,),
    ast.Await: lambda found: (found.value,),
    ast.NamedExpr: lambda found: (found.value,),
    ast.Lambda: lambda found: (found.body,),
}
"""The parts of an expression that its messages come from."""


@dataclass(frozen=True)
class Do:
    """One `saga.do` of the source, or one `saga.each`."""

    line: int
    commands: frozenset[type]
    then: frozenset[type] | None
    """None: any, or not seen."""
    undos: frozenset[type]


@dataclass(frozen=True)
class Made:
    """The messages that a piece of source makes."""

    steps: tuple[Do, ...] = ()
    sent: frozenset[type] = frozenset()
    """Commands beside those of the steps."""
    undos: frozenset[type] = frozenset()
    """Undos beside those of the steps."""
    published: frozenset[type] = frozenset()
    returned: frozenset[type] = frozenset()
    reminded: frozenset[type] = frozenset()
    """What its reminders tell it."""
    unseen: bool = False
    """There is something that could not be seen."""

    @property
    def commands(self) -> frozenset[type]:
        """All that it sends as a command."""
        return self.sent.union(self.undos, *(one.commands | one.undos for one in self.steps))


NOTHING = Made()
UNSEEN = Made(unseen=True)


def read_saga(code: Callable[..., Any], names: Mapping[str, Any]) -> Made:
    """What the code of a saga does with its second parameter."""
    parameters = list(inspect.signature(code).parameters)
    return _read(code, names, saga=parameters[1]) if len(parameters) > 1 else NOTHING


def read_answers(function: Callable[..., Any], names: Mapping[str, Any], owner: type | None = None) -> Made:
    """What a function returns; `owner`: the class that it is a method of."""
    return _read(function, names, owner=owner)


def _read(
    function: Callable[..., Any],
    names: Mapping[str, Any],
    *,
    saga: str | None = None,
    owner: type | None = None,
    seen: frozenset[Any] = frozenset(),
) -> Made:
    function = inspect.unwrap(function)
    if not isinstance(function, FunctionType):
        return UNSEEN
    if function in seen:
        return NOTHING
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    except (OSError, SyntaxError, TypeError):
        return UNSEEN
    if not isinstance(tree, _FUNCTIONS):
        return UNSEEN
    return _Reader(function, tree, names, saga, owner, seen | {function}).read()


@dataclass
class _Reader:
    function: FunctionType
    tree: _Function
    names: Mapping[str, Any]
    saga: str | None
    owner: type | None
    seen: frozenset[Any]
    assigned: dict[str, list[ast.expr | None]] = field(default_factory=dict[str, list[ast.expr | None]])
    inner: dict[str, _Function] = field(default_factory=dict[str, _Function])
    following: set[str] = field(default_factory=set[str])
    steps: list[Do] = field(default_factory=list[Do])
    sent: set[type] = field(default_factory=set[type])
    undos: set[type] = field(default_factory=set[type])
    published: set[type] = field(default_factory=set[type])
    reminded: set[type] = field(default_factory=set[type])
    unseen: bool = False

    def read(self) -> Made:
        self.names = {**self.names, **closure_of(self.function), **getattr(self.function, "__globals__", {})}
        for node in ast.walk(self.tree):
            self._note(node)
        if self.saga is None:
            returned = self._of_all(_returns(self.tree))
            undos, reminded = frozenset(self.undos), frozenset(self.reminded)
            return Made(undos=undos, returned=returned, reminded=reminded, unseen=self.unseen)
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                self._call(node)
        return Made(
            tuple(self.steps),
            frozenset(self.sent),
            frozenset(self.undos),
            frozenset(self.published),
            unseen=self.unseen,
        )

    # ------------------------------------------------------------------ what names are assigned

    def _note(self, node: ast.AST) -> None:
        """Remember what a name is assigned, and the functions inside."""
        match node:
            case ast.Assign(targets, value):
                for target in targets:
                    self._assign(target, value)
            case ast.AnnAssign(target, _, value) | ast.AugAssign(target, _, value) if value is not None:
                self._assign(target, value)
            case ast.NamedExpr(target, value):
                self._assign(target, value)
            case ast.For() | ast.AsyncFor() | ast.comprehension():
                self._assign(node.target, node.iter)
            case ast.Call(ast.Attribute(name, "append" | "extend" | "insert"), [*_, value]):
                self._assign(name, value)
            case ast.FunctionDef() | ast.AsyncFunctionDef() if node is not self.tree:
                self.inner[node.name] = node
            case _:
                pass

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self.assigned.setdefault(target.id, []).append(value)
        elif isinstance(target, ast.Tuple | ast.List):
            for part in target.elts:
                if isinstance(part, ast.Name):
                    self.assigned.setdefault(part.id, []).append(None)

    # ------------------------------------------------------------------ what is done with the saga

    def _call(self, call: ast.Call) -> None:
        match call:
            case ast.Call(ast.Attribute(ast.Name(self.saga), "do"), [command, *_]):
                self.steps.append(self._step(call, self._of(command)))
            case ast.Call(ast.Attribute(ast.Name(self.saga), "each"), arguments, keywords):
                built = [*arguments[1:2], *(keyword.value for keyword in keywords if keyword.arg == "command")]
                self.steps += [self._step(call, self._built_by(build)) for build in built]
            case ast.Call(ast.Attribute(ast.Name(self.saga), "send"), [command, *_]):
                self.sent |= self._of(command)
            case ast.Call(ast.Attribute(ast.Name(self.saga), "on_undo"), [undo, *_]):
                self.undos |= self._built_by(undo)
            case ast.Call(ast.Attribute(ast.Name(self.saga), "publish"), [event, *_]):
                self.published |= self._of(event)
            case _:
                self._follow(call)

    def _step(self, call: ast.Call, commands: frozenset[type]) -> Do:
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        undo = given.get("undo")
        line = self.function.__code__.co_firstlineno + call.lineno - 1
        undos = frozenset[type]() if undo is None else self._built_by(undo)
        return Do(line, commands, self._then(given.get("then")), undos)

    def _then(self, then: ast.expr | None) -> frozenset[type] | None:
        parts = then.elts if isinstance(then, ast.Tuple) else [then] if then is not None else []
        classes = [self._value(part) for part in parts]
        return frozenset(classes) if classes and all(is_message_type(cls) for cls in classes) else None

    def _follow(self, call: ast.Call) -> None:
        """A function that is handed the saga: what it does with it counts too."""
        handed = [isinstance(argument, ast.Name) and argument.id == self.saga for argument in call.args]
        target = self._value(call.func) if any(handed) else None
        if not isinstance(target, FunctionType):
            self.unseen |= any(handed)
            return
        parameters = [*inspect.signature(target).parameters, *handed]
        made = _read(target, self.names, saga=str(parameters[handed.index(True)]), seen=self.seen)
        self.steps += made.steps
        self.sent |= made.sent
        self.undos |= made.undos
        self.published |= made.published
        self.unseen |= made.unseen

    # ------------------------------------------------------------------ which messages an expression makes

    def _of_all(self, expressions: Iterable[ast.expr | None]) -> frozenset[type]:
        return frozenset[type]().union(*(self._of(one) for one in expressions))

    def _of(self, expression: ast.expr | None) -> frozenset[type]:
        """The classes of the messages that an expression may be, or be a list of."""
        if isinstance(expression, ast.Call):
            return self._of_call(expression)
        if isinstance(expression, ast.Name):
            return self._of_name(expression.id)
        if expression is not None and type(expression) in _INSIDE:
            return self._of_all(_INSIDE[type(expression)](expression))
        self.unseen = True
        return frozenset()

    def _of_call(self, call: ast.Call) -> frozenset[type]:
        called = call.func.id if isinstance(call.func, ast.Name) else ""
        if called in self.inner or called in self.assigned:
            return self._of_name(called)
        target = self._value(call.func)
        if target is Remind:
            self.reminded |= self._of_all(_told_by(call))
            return frozenset()
        if is_message_type(target) and target is not Undoing:
            return frozenset({target})
        if target is Undoing or called in _PASSES_ON:
            found = self._of_all(call.args[:1])
            self.undos |= found if target is Undoing else frozenset()
            return found
        if isinstance(target, FunctionType):
            return self._returned_by(target)
        self.unseen = True
        return frozenset()

    def _of_name(self, name: str) -> frozenset[type]:
        if name in self.following:
            return frozenset()
        self.following.add(name)
        values = _returns(self.inner[name]) if name in self.inner else self.assigned.get(name, (None,))
        found = self._of_all(values)
        self.following.discard(name)
        return found

    def _built_by(self, build: ast.expr) -> frozenset[type]:
        """The commands that a function makes, or the one that it is."""
        target = self._value(build)
        if is_message_type(target):
            return frozenset({target})
        return self._returned_by(target) if isinstance(target, FunctionType) else self._of(build)

    def _returned_by(self, function: FunctionType) -> frozenset[type]:
        says = named(annotations_of(function, self.names).get("return"))
        if says.messages and not says.others and not says.anything:
            return frozenset(says.messages)
        made = _read(function, self.names, owner=self.owner, seen=self.seen)
        self.reminded |= made.reminded
        self.unseen |= made.unseen
        return made.returned

    def _value(self, expression: ast.expr) -> Any:
        """What a name of the source stands for outside of it; None if that is not known."""
        match expression:
            case ast.Name(name) if name in self.assigned or name in self.inner:
                return None
            case ast.Name("self") if self.owner is not None:
                return self.owner
            case ast.Name(name):
                return self.names.get(name)
            case ast.Attribute(value, attribute):
                return getattr(self._value(value), attribute, None)
            case ast.Subscript(value):
                return self._value(value)
            case _:
                return None


def _told_by(remind: ast.Call) -> Iterator[ast.expr]:
    """The message of a Remind."""
    yield from remind.args[1:2]
    yield from (keyword.value for keyword in remind.keywords if keyword.arg == "message")


def _returns(function: _Function) -> Iterator[ast.expr]:
    for node in _outside_functions(function.body):
        if isinstance(node, ast.Return) and node.value is not None:
            yield node.value


def _outside_functions(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """All nodes, without those of functions inside."""
    for node in nodes:
        if not isinstance(node, (*_FUNCTIONS, ast.Lambda)):
            yield node
            yield from _outside_functions(ast.iter_child_nodes(node))
