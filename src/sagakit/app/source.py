"""What the source of a process sends: its commands, undos and events, as far as they can be seen without running it."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any, cast

from sagakit.app.resolve import annotations, named
from sagakit.core.messages import is_message_type
from sagakit.core.process_manager import Undoing

_PASSES_ON = {"list", "tuple", "sorted", "reversed", "set", "frozenset"}
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Do:
    """One `saga.do` of the source."""

    line: int
    commands: frozenset[type]
    then: frozenset[type] | None
    undos: frozenset[type]


@dataclass(frozen=True)
class Made:
    """The messages that a piece of source makes."""

    steps: tuple[Do, ...] = ()
    sent: frozenset[type] = frozenset()
    undos: frozenset[type] = frozenset()
    """Undos beside those of the steps."""
    published: frozenset[type] = frozenset()
    returned: frozenset[type] = frozenset()
    unseen: bool = False
    """There is something that could not be seen."""

    @property
    def commands(self) -> frozenset[type]:
        """All that it sends for certain as a command."""
        of_steps = (one.commands | one.undos for one in self.steps)
        return self.sent.union(self.undos, *of_steps)


NOTHING = Made()
UNSEEN = Made(unseen=True)


def read_saga(code: Callable[..., Any], names: Mapping[str, Any]) -> Made:
    """What the code of a saga does with its second parameter, and what it returns."""
    parameters = list(inspect.signature(code).parameters)
    return _read(code, names, saga=parameters[1] if len(parameters) > 1 else None)


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
    if not isinstance(function, FunctionType) or function in seen:
        return UNSEEN
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError, TypeError):
        return UNSEEN
    if not isinstance(tree.body[0], _Function):
        return UNSEEN
    return _Reader(function, tree.body[0], names, saga, owner, seen | {function}).read()


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
    unseen: bool = False

    def read(self) -> Made:
        for node in ast.walk(self.tree):
            self._note(node)
        returned = self._of_all(self._returns(self.tree))
        for node in ast.walk(self.tree):
            if self.saga is not None and isinstance(node, ast.Call):
                self._call(node)
        return Made(
            tuple(self.steps),
            frozenset(self.sent),
            frozenset(self.undos),
            frozenset(self.published),
            returned,
            self.unseen,
        )

    # ------------------------------------------------------------------ what stands in the source

    def _note(self, node: ast.AST) -> None:
        """Remember what a name is assigned, and the functions inside."""
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self._assign(target, node.value)
        elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr) and node.value is not None:
            self._assign(node.target, node.value)
        elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            self._assign(node.target, node.iter)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            if node.func.attr in ("append", "extend", "insert"):
                self._assign(node.func.value, node.args[-1])
        elif isinstance(node, _Function) and node is not self.tree:
            self.inner[node.name] = node

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self.assigned.setdefault(target.id, []).append(value)
        elif isinstance(target, ast.Tuple | ast.List):
            for part in target.elts:
                if isinstance(part, ast.Name):
                    self.assigned.setdefault(part.id, []).append(None)

    def _returns(self, function: _Function) -> Iterator[ast.expr]:
        for node in _outside_functions(function.body):
            if isinstance(node, ast.Return) and node.value is not None:
                yield node.value

    def _call(self, call: ast.Call) -> None:
        match call.func:
            case ast.Attribute(ast.Name(saga), "do") if saga == self.saga and call.args:
                self.steps.append(self._do(call))
            case ast.Attribute(ast.Name(saga), "send") if saga == self.saga and call.args:
                self.sent |= self._of(call.args[0])
            case ast.Attribute(ast.Name(saga), "on_undo") if saga == self.saga and call.args:
                self.undos |= self._of_undo(call.args[0])
            case ast.Attribute(ast.Name(saga), "publish") if saga == self.saga and call.args:
                self.published |= self._of(call.args[0])
            case _:
                self._follow(call)

    def _do(self, call: ast.Call) -> Do:
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        undo = given.get("undo")
        line = self.function.__code__.co_firstlineno + call.lineno - 1
        undos = frozenset[type]() if undo is None else self._of_undo(undo)
        return Do(line, self._of(call.args[0]), self._then(given.get("then")), undos)

    def _then(self, then: ast.expr | None) -> frozenset[type] | None:
        parts = then.elts if isinstance(then, ast.Tuple) else [then]
        classes = [self._value(part) for part in parts if part is not None]
        return frozenset(classes) if classes and all(is_message_type(cls) for cls in classes) else None

    def _follow(self, call: ast.Call) -> None:
        """A function that is handed the saga: what it does with it counts too."""
        handed = [isinstance(argument, ast.Name) and argument.id == self.saga for argument in call.args]
        if not any(handed):
            return
        target = self._value(call.func)
        parameters = list(inspect.signature(target).parameters) if isinstance(target, FunctionType) else []
        index = handed.index(True)
        if index >= len(parameters):
            self.unseen = True
            return
        made = _read(target, self.names, saga=parameters[index], seen=self.seen)
        self.steps += made.steps
        self.sent |= made.sent
        self.undos |= made.undos
        self.published |= made.published
        self.unseen |= made.unseen

    # ------------------------------------------------------------------ which messages an expression makes

    def _of_all(self, expressions: Iterable[ast.expr]) -> frozenset[type]:
        return frozenset[type]().union(*(self._of(one) for one in expressions))

    def _of(self, expression: ast.expr) -> frozenset[type]:
        """The classes of the messages that an expression may be, or be a list of."""
        match expression:
            case ast.Constant():
                return frozenset()
            case ast.Call():
                return self._of_call(expression)
            case ast.Name():
                return self._of_name(expression.id)
            case ast.List() | ast.Tuple() | ast.Set():
                return self._of_all(expression.elts)
            case ast.IfExp():
                return self._of_all((expression.body, expression.orelse))
            case ast.BoolOp():
                return self._of_all(expression.values)
            case ast.BinOp():
                return self._of_all((expression.left, expression.right))
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp():
                return self._of(expression.elt)
            case ast.Starred() | ast.Await() | ast.NamedExpr():
                return self._of(expression.value)
            case ast.Lambda():
                return self._of(expression.body)
            case _:
                self.unseen = True
                return frozenset()

    def _of_call(self, call: ast.Call) -> frozenset[type]:
        if isinstance(call.func, ast.Name) and call.func.id in self.inner:
            return self._of_all(self._returns(self.inner[call.func.id]))
        target = self._value(call.func)
        if target is Undoing and call.args:
            return self._of(call.args[0])
        if isinstance(call.func, ast.Name) and call.func.id in _PASSES_ON:
            return self._of_all(call.args)
        if isinstance(target, type):
            if is_message_type(target):
                return frozenset({target})
        elif isinstance(target, FunctionType):
            return self._returned_by(target)
        if isinstance(call.func, ast.Name) and call.func.id in self.assigned:  # a lambda of its own
            return self._of_name(call.func.id)
        self.unseen = True
        return frozenset()

    def _of_name(self, name: str) -> frozenset[type]:
        values = self.assigned.get(name)
        if name in self.inner:
            return self._of_all(self._returns(self.inner[name]))
        if values is None or name in self.following:
            self.unseen |= values is None
            return frozenset()
        self.following.add(name)
        try:
            self.unseen |= any(value is None for value in values)
            return self._of_all(value for value in values if value is not None)
        finally:
            self.following.discard(name)

    def _of_undo(self, undo: ast.expr) -> frozenset[type]:
        """The undos that an undo function makes, or the one that it is."""
        target = self._value(undo)
        if isinstance(target, FunctionType):
            return self._returned_by(target)
        return self._of(undo)

    def _returned_by(self, function: FunctionType) -> frozenset[type]:
        says = annotations(function, self.names).get("return")
        if says is not None and not named(says).others and not named(says).anything:
            return frozenset(named(says).messages)
        made = _read(function, self.names, owner=self.owner, seen=self.seen)
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
                return self._outer(name)
            case ast.Attribute(value, attribute):
                return getattr(self._value(value), attribute, None)
            case ast.Subscript(value):
                return self._value(value)
            case _:
                return None

    def _outer(self, name: str) -> Any:
        cells = dict(zip(self.function.__code__.co_freevars, self.function.__closure__ or (), strict=False))
        if name in cells:
            try:
                return cells[name].cell_contents
            except ValueError:
                return None
        scope = cast(dict[str, Any], self.function.__globals__)
        return scope[name] if name in scope else self.names.get(name)


def _outside_functions(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """All nodes, without those of functions inside."""
    for node in nodes:
        if not isinstance(node, _Function | ast.Lambda):
            yield node
            yield from _outside_functions(ast.iter_child_nodes(node))
