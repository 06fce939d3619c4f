"""Compiles one expression: Python's grammar, a white-list of node kinds, closures over plain data. Pure.

A dot is a key look-up and nothing else; no attribute of a Python object can be reached, and only our own
functions are called.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from integrations.words import gettext as _
from integrations.words import gettext_noop
from orchestrator.flow.functions import FUNCTIONS, LOOKING, Function
from orchestrator.flow.grammar import column_of, key_after_dot, parsed
from orchestrator.flow.lookup import Evaluate, Links, follow, from_root, written_path
from orchestrator.flow.operators import BINARY, COMPARISONS
from orchestrator.flow.values import (
    Context,
    ExpressionError,
    UnresolvedReference,
    checked_number,
    is_number,
    type_name,
)

MAX_NESTING: Final = 60

_REFERENCES: Final = (ast.Name, ast.Attribute, ast.Subscript)
_LITERALS: Final[Mapping[str, Any]] = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What an expression reads: ``parts`` are the keys and indexes known without running it.

    ``column`` is 1-based; ``tolerant`` inside ``default()``, where it may be missing.
    """

    root: str
    parts: tuple[str | int, ...]
    column: int
    tolerant: bool = False

    @property
    def path(self) -> str:
        return written_path((self.root, *self.parts))


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """An expression ready to run. ``gives`` is the JSON type it always has, or None when that depends on data."""

    evaluate: Evaluate
    references: tuple[Reference, ...]
    gives: str | None
    is_reference: bool


def compile_expression(source: str, offset: int = 0) -> Compiled:
    """Compile the text between ``{{`` and ``}}``; ``offset`` is where it begins in the whole text (0-based).

    Raises ExpressionError with the exact column for anything that is not allowed.
    """
    tree = parsed(source, offset)
    compiler = _Compiler(source, offset)
    compiler.lazy = isinstance(tree.body, _REFERENCES)
    evaluate = compiler.compile(tree.body, 0)
    return Compiled(
        evaluate=evaluate,
        references=tuple(compiler.references),
        gives=_type_of(tree.body),
        is_reference=isinstance(tree.body, _REFERENCES) and len(compiler.references) == 1,
    )


class _Compiler:
    """Turns allowed nodes into closures and collects what they reference."""

    def __init__(self, source: str, offset: int) -> None:
        self.source = source
        self.offset = offset
        self.references: list[Reference] = []
        self.tolerant = 0
        # Whether what is compiled next may give a large value as it is: nothing computes with it.
        self.lazy = False

    def column(self, node: ast.AST) -> int:
        return column_of(node, self.source, self.offset)

    def fail(self, node: ast.AST, message: str) -> ExpressionError:
        return ExpressionError(message, column=self.column(node))

    def compile(self, node: ast.expr, depth: int) -> Evaluate:
        if depth > MAX_NESTING:
            raise self.fail(node, _("The expression is nested deeper than %(most)s levels.") % {"most": MAX_NESTING})
        method = _METHODS.get(type(node))
        if method is None:
            what = _(_NOT_ALLOWED.get(type(node), _ANYTHING_ELSE))
            raise self.fail(node, _("%(what)s is not possible in an expression.") % {"what": what})
        return method(self, node, depth + 1)

    def constant(self, node: ast.Constant, depth: int) -> Evaluate:
        value = node.value
        if value is None or isinstance(value, bool):
            raise self.fail(
                node,
                _("Write %(right)s instead of %(wrong)s.")
                % {"right": "null" if value is None else str(value).lower(), "wrong": value},
            )
        if not isinstance(value, (str, int, float)):
            raise self.fail(node, _("Only texts, numbers, true, false and null can be written here."))
        if isinstance(value, (int, float)):
            try:
                checked_number(value)
            except ExpressionError as error:
                raise self.fail(node, error.message) from None
        return lambda context: value

    def reference(self, node: ast.expr, depth: int) -> Evaluate:
        """A name with its dots and indexes, taken together so that an error can name the whole path."""
        lazy, self.lazy = self.lazy, False
        links: Links = []
        inner: ast.expr = node
        while isinstance(inner, (ast.Attribute, ast.Subscript)):
            depth += 1
            links.append(self._link(inner, depth))
            inner = inner.value
        links.reverse()
        if not isinstance(inner, ast.Name):
            base = self.compile(inner, depth)
            return follow(base, ("…",), links, self.column(node), lazy)
        name = inner.id
        if name in _LITERALS:
            value = _LITERALS[name]
            if links:
                raise self.fail(node, _("%(name)s has nothing inside.") % {"name": name})
            return lambda context: value
        static: list[str | int] = []
        for key, dynamic in links:
            if dynamic is not None:
                break
            static.append(key)
        column = self.column(inner)
        self.references.append(Reference(root=name, parts=tuple(static), column=column, tolerant=bool(self.tolerant)))
        return follow(from_root(name, column), (name,), links, column, lazy)

    def _link(self, node: ast.Attribute | ast.Subscript, depth: int) -> tuple[Any, Evaluate | None]:
        """Return a key known now, or what computes it."""
        if isinstance(node, ast.Attribute):
            return key_after_dot(node), None
        index: ast.expr = node.slice
        if (
            isinstance(index, ast.Constant)
            and isinstance(index.value, (str, int))
            and not isinstance(index.value, bool)
        ):
            self.constant(index, depth)
            return index.value, None
        if isinstance(index, ast.UnaryOp) and isinstance(index.op, ast.USub):
            operand = index.operand
            if isinstance(operand, ast.Constant) and isinstance(operand.value, int) and operand.value < 2**31:
                return -operand.value, None
        if isinstance(index, (ast.Slice, ast.Tuple)):
            raise self.fail(node, _("A range is not possible here; use first(), last() or one index."))
        return None, self.compile(index, depth)

    def unary(self, node: ast.UnaryOp, depth: int) -> Evaluate:
        operand, column = self.compile(node.operand, depth), self.column(node)
        if isinstance(node.op, ast.Not):
            return lambda context: not operand(context)
        if isinstance(node.op, ast.Invert):
            raise self.fail(node, _("~ is not possible in an expression."))
        sign = -1 if isinstance(node.op, ast.USub) else 1

        def negate(context: Context) -> Any:
            value = operand(context)
            if not is_number(value):
                raise ExpressionError(
                    _("A sign goes before a number, not a %(type)s.") % {"type": _(type_name(value))}, column=column
                )
            return sign * value

        return negate

    def binary(self, node: ast.BinOp, depth: int) -> Evaluate:
        compute = BINARY.get(type(node.op))
        if compute is None:
            raise self.fail(node, _("Only + - * / % can stand between values."))
        left, right, column = self.compile(node.left, depth), self.compile(node.right, depth), self.column(node)

        def evaluate(context: Context) -> Any:
            a, b = left(context), right(context)
            try:
                return compute(a, b, context)
            except ExpressionError as error:
                error.column = error.column or column
                raise

        return evaluate

    def boolean(self, node: ast.BoolOp, depth: int) -> Evaluate:
        parts = [self.compile(value, depth) for value in node.values]
        stops_at = isinstance(node.op, ast.Or)

        def evaluate(context: Context) -> Any:
            value = None
            for part in parts:
                value = part(context)
                if bool(value) is stops_at:
                    return value
            return value

        return evaluate

    def compare(self, node: ast.Compare, depth: int) -> Evaluate:
        tests = []
        for op in node.ops:
            test = COMPARISONS.get(type(op))
            if test is None:
                raise self.fail(node, _("`is` is not possible in an expression; use == or !=."))
            tests.append(test)
        first = self.compile(node.left, depth)
        others = [self.compile(value, depth) for value in node.comparators]
        column = self.column(node)

        def evaluate(context: Context) -> bool:
            left = first(context)
            for test, other in zip(tests, others, strict=True):
                right = other(context)
                try:
                    holds = test(left, right, context)
                except ExpressionError as error:
                    error.column = error.column or column
                    raise
                if not holds:
                    return False
                left = right
            return True

        return evaluate

    def conditional(self, node: ast.IfExp, depth: int) -> Evaluate:
        test, then, otherwise = (self.compile(part, depth) for part in (node.test, node.body, node.orelse))
        return lambda context: then(context) if test(context) else otherwise(context)

    def list_display(self, node: ast.List, depth: int) -> Evaluate:
        items = [self.compile(item, depth) for item in node.elts]
        return lambda context: [item(context) for item in items]

    def dict_display(self, node: ast.Dict, depth: int) -> Evaluate:
        pairs = []
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                raise self.fail(node, _("** is not possible in an expression."))
            pairs.append((self.compile(key, depth), self.compile(value, depth)))
        column = self.column(node)

        def evaluate(context: Context) -> dict[str, Any]:
            made = {}
            for key_of, value_of in pairs:
                key = key_of(context)
                if not isinstance(key, str):
                    raise ExpressionError(
                        _("A key is a text, not a %(type)s.") % {"type": _(type_name(key))}, column=column
                    )
                made[key] = value_of(context)
            return made

        return evaluate

    def call(self, node: ast.Call, depth: int) -> Evaluate:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name == "default":
            return self._default(node, depth)
        function = FUNCTIONS.get(name)
        if function is None:
            known = get_close_matches(name, [*FUNCTIONS, "default"], n=1)
            hint = (
                _(" Did you mean %(known)s()?") % {"known": known[0]}
                if known
                else _(" There are %(known)s.") % {"known": ", ".join(sorted((*FUNCTIONS, "default")))}
            )
            raise self.fail(
                node,
                _("There is no function %(name)r.%(hint)s") % {"name": name or self._written(node.func), "hint": hint},
            )
        self._check_arguments(node, name, function.least, function.most)
        self.lazy = name in LOOKING and isinstance(node.args[0], _REFERENCES)
        return _caller(function, [self.compile(argument, depth) for argument in node.args], self.column(node))

    def _default(self, node: ast.Call, depth: int) -> Evaluate:
        """default(x, y): y when x does not resolve or is null."""
        self._check_arguments(node, "default", 2, 2)
        self.tolerant += 1
        wanted = self.compile(node.args[0], depth)
        self.tolerant -= 1
        instead = self.compile(node.args[1], depth)

        def evaluate(context: Context) -> Any:
            try:
                value = wanted(context)
            except UnresolvedReference:
                value = None
            return instead(context) if value is None else value

        return evaluate

    def _check_arguments(self, node: ast.Call, name: str, least: int, most: int) -> None:
        if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
            raise self.fail(node, _("%(name)s() takes plain values, one after the other.") % {"name": name})
        if not least <= len(node.args) <= most:
            wanted = str(least) if least == most else _("%(least)s to %(most)s") % {"least": least, "most": most}
            raise self.fail(
                node,
                _("%(name)s() takes %(wanted)s value(s), not %(count)s.")
                % {"name": name, "wanted": wanted, "count": len(node.args)},
            )

    def _written(self, node: ast.AST) -> str:
        return (ast.unparse(node) if sum(1 for _ in ast.walk(node)) < 50 else "…")[:40]


def _caller(function: Function, arguments: list[Evaluate], column: int) -> Evaluate:
    def evaluate(context: Context) -> Any:
        values = [argument(context) for argument in arguments]
        try:
            return function.call(context, *values)
        except ExpressionError as error:
            error.column = error.column or column
            raise

    return evaluate


_METHODS: Final[Mapping[type[ast.expr], Callable[[_Compiler, Any, int], Evaluate]]] = {
    ast.Constant: _Compiler.constant,
    ast.Name: _Compiler.reference,
    ast.Attribute: _Compiler.reference,
    ast.Subscript: _Compiler.reference,
    ast.UnaryOp: _Compiler.unary,
    ast.BinOp: _Compiler.binary,
    ast.BoolOp: _Compiler.boolean,
    ast.Compare: _Compiler.compare,
    ast.IfExp: _Compiler.conditional,
    ast.List: _Compiler.list_display,
    ast.Dict: _Compiler.dict_display,
    ast.Call: _Compiler.call,
}
_A_LOOP: Final = gettext_noop("A loop")
_ANYTHING_ELSE: Final = gettext_noop("This")
_NOT_ALLOWED: Final[Mapping[type[ast.expr], str]] = {
    ast.Lambda: gettext_noop("A function of your own"),
    **dict.fromkeys((ast.ListComp, ast.DictComp, ast.SetComp, ast.GeneratorExp), _A_LOOP),
    ast.NamedExpr: gettext_noop("An assignment"),
    ast.JoinedStr: gettext_noop("An f-string"),
    ast.Tuple: gettext_noop("A list without brackets"),
    ast.Set: gettext_noop("A set"),
}


def _type_of(node: ast.expr) -> str | None:
    """Return the JSON type that an expression always gives, where its form alone tells."""
    if isinstance(node, (ast.Compare,)) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)):
        return "boolean"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS:
        return FUNCTIONS[node.func.id].gives
    if isinstance(node, ast.Constant):
        return "string" if isinstance(node.value, str) else "number"
    if isinstance(node, ast.Name) and node.id in _LITERALS:
        return "null" if node.id == "null" else "boolean"
    return {ast.List: "array", ast.Dict: "object"}.get(type(node))
