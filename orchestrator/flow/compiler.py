"""Compiles one expression: Python's grammar, a white-list of node kinds, closures over plain data. Pure.

A dot is a key look-up and nothing else; no attribute of a Python object can be reached, and only our own
functions are called.
"""

from __future__ import annotations

import ast
import keyword
import operator
import re
import threading
import unicodedata
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from integrations.words import gettext as _
from integrations.words import gettext_noop
from orchestrator.flow.functions import FUNCTIONS, LOOKING, Function
from orchestrator.flow.values import (
    MAX_ITEMS,
    Context,
    ExpressionError,
    UnresolvedReference,
    checked_number,
    checked_text,
    is_number,
    same,
    type_name,
    weight,
)
from orchestrator.large import MISSING, Large

MAX_SOURCE: Final = 4_000
MAX_NESTING: Final = 60

Evaluate = Callable[[Context], Any]

# Python's keywords may follow a dot (trigger.body.from). Before parsing each is replaced there by a name of the
# same length that nobody can type by accident, so that columns stay what they are.
_STAND_INS: Final = {
    word: chr(0xA500 + index) + "a" * (len(word) - 1) for index, word in enumerate(sorted(keyword.kwlist))
}
_KEYWORDS: Final = {stand_in: word for word, stand_in in _STAND_INS.items()}
_TOKEN: Final = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<dotted>\.\s*)?(?P<name>[^\W\d]\w*)""", re.DOTALL
)
_REFERENCES: Final = (ast.Name, ast.Attribute, ast.Subscript)
_LITERALS: Final[Mapping[str, Any]] = {"true": True, "false": False, "null": None}

# Several threads in ast.parse at once now and then make Python 3.11 raise SystemError.
_parse_lock = threading.Lock()


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


def written_path(parts: tuple[str | int, ...]) -> str:
    """Return a path as a person writes it: ``steps.a.output.items[0]["x-y"]``."""
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        elif re.fullmatch(r"[^\W\d]\w*", part):
            text += f".{part}" if text else part
        else:
            text += f'["{part}"]'
    return text


def compile_expression(source: str, offset: int = 0) -> Compiled:
    """Compile the text between ``{{`` and ``}}``; ``offset`` is where it begins in the whole text (0-based).

    Raises ExpressionError with the exact column for anything that is not allowed.
    """
    if len(source) > MAX_SOURCE:
        raise ExpressionError(
            _("The expression has more than %(most)s characters.") % {"most": f"{MAX_SOURCE:,}"},
            column=offset + 1,
        )
    if not source.strip():
        raise ExpressionError(_("There is nothing between {{ and }}."), column=offset + 1)
    tree = _parse(_rewrite(source, offset), source, offset)
    compiler = _Compiler(source, offset)
    compiler.lazy = isinstance(tree.body, _REFERENCES)
    evaluate = compiler.compile(tree.body, 0)
    return Compiled(
        evaluate=evaluate,
        references=tuple(compiler.references),
        gives=_type_of(tree.body),
        is_reference=isinstance(tree.body, _REFERENCES) and len(compiler.references) == 1,
    )


def _rewrite(source: str, offset: int) -> str:
    """Return the source with keywords after a dot replaced; refuse names that Python would silently change."""

    def replace(match: re.Match[str]) -> str:
        name = match["name"]
        if name is None:
            return match[0]
        if any(0xA500 <= ord(letter) <= 0xA500 + len(_STAND_INS) for letter in name) or (
            not name.isascii() and unicodedata.normalize("NFKC", name) != name
        ):
            raise ExpressionError(
                _('Write %(name)r as ["%(name)s"].') % {"name": name[:40]}, column=offset + match.start("name") + 1
            )
        if match["dotted"] is None:
            return match[0]
        return match["dotted"] + _STAND_INS.get(name, name)

    return _TOKEN.sub(replace, source)


def _parse(rewritten: str, source: str, offset: int) -> ast.Expression:
    try:
        with _parse_lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # In brackets, so that an expression may run over several lines.
            return ast.parse(f"({rewritten}\n)", mode="eval")
    except SyntaxError as error:
        column = _character(rewritten, error.lineno or 1, error.offset, characters=True)
        message = _("An expression cannot be read here") if error.msg.startswith("invalid") else error.msg
        raise ExpressionError(f"{message}: {_excerpt(source, column)}", column=offset + column + 1) from None
    except (ValueError, RecursionError, MemoryError, SystemError, OverflowError):
        raise ExpressionError(_("The expression cannot be read: it is nested too deep."), column=offset + 1) from None


def _character(text: str, line: int, column: int | None, *, characters: bool = False) -> int:
    """Return the 0-based place in ``text``; ``column`` counts bytes, as ast does, from 0, or characters from 1."""
    lines = text.split("\n")
    before = sum(len(part) + 1 for part in lines[: line - 1])
    within = lines[line - 1] if line <= len(lines) else ""
    at = column or 0
    if line == 1:
        at -= 1  # our own opening bracket
    place = (
        at - 1 if characters else len(within.encode("utf-8", "surrogatepass")[: max(at, 0)].decode("utf-8", "ignore"))
    )
    return max(0, min(before + max(place, 0), len(text) - 1))


def _excerpt(source: str, place: int) -> str:
    return repr(source[place : place + 20].strip() or source[-20:].strip())


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
        line, byte = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
        rewritten = _rewrite(self.source, self.offset)
        return self.offset + _character(rewritten, line, byte) + 1

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
        links: list[tuple[Any, Evaluate | None]] = []
        inner: ast.expr = node
        while isinstance(inner, (ast.Attribute, ast.Subscript)):
            depth += 1
            links.append(self._link(inner, depth))
            inner = inner.value
        links.reverse()
        if not isinstance(inner, ast.Name):
            base = self.compile(inner, depth)
            return self._follow(base, ("…",), links, self.column(node), lazy)
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
        return self._follow(_root(name, column), (name,), links, column, lazy)

    def _link(self, node: ast.Attribute | ast.Subscript, depth: int) -> tuple[Any, Evaluate | None]:
        """Return a key known now, or what computes it."""
        if isinstance(node, ast.Attribute):
            return _KEYWORDS.get(node.attr, node.attr), None
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

    @staticmethod
    def _follow(
        base: Evaluate, path: tuple[str | int, ...], links: list[tuple[Any, Evaluate | None]], column: int, lazy: bool
    ) -> Evaluate:
        if all(dynamic is None for _, dynamic in links):
            keys = tuple(key for key, _ in links)

            def follow(context: Context) -> Any:
                value = base(context)
                for index, key in enumerate(keys):
                    if type(value) is dict and key in value:
                        value = value[key]
                    else:
                        value = _look_up(value, key, (*path, *keys[:index]), column)
                return value.whole() if type(value) is Large and not lazy else value

            return follow

        def follow_computed(context: Context) -> Any:
            value, seen = base(context), path
            for key, dynamic in links:
                at = key if dynamic is None else dynamic(context)
                value = _look_up(value, at, seen, column)
                seen = (*seen, at)
            return value.whole() if type(value) is Large and not lazy else value

        return follow_computed

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
        compute = _BINARY.get(type(node.op))
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
            test = _COMPARISONS.get(type(op))
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


def _root(name: str, column: int) -> Evaluate:
    def evaluate(context: Context) -> Any:
        try:
            return context.scope[name]
        except KeyError:
            raise _missing(name, list(context.scope), (), column) from None

    return evaluate


def _look_up(value: Any, key: Any, path: tuple[str | int, ...], column: int) -> Any:
    """Return what is at ``key``, or raise UnresolvedReference naming the path and the nearest name."""
    if isinstance(value, Mapping) and isinstance(key, str):
        if key in value:
            return value[key]
        raise _missing(key, list(value)[:500], path, column)
    if isinstance(value, (list, tuple)) and isinstance(key, int) and not isinstance(key, bool):
        if -len(value) <= key < len(value):
            return value[key]
        reason = _("the list has %(count)s item(s)") % {"count": len(value)}
    elif isinstance(value, (Mapping, list, tuple)):
        wanted = _("a text") if isinstance(value, Mapping) else _("a whole number")
        raise ExpressionError(
            _("%(path)s is looked into by %(wanted)s, not a %(type)s.")
            % {"path": written_path(path), "wanted": wanted, "type": _(type_name(key))},
            column=column,
        )
    elif isinstance(value, Large):
        return _look_into(value, key, path, column)
    else:
        reason = (
            _("%(path)s is null") % {"path": written_path(path)}
            if value is None
            else _("%(path)s is a %(type)s") % {"path": written_path(path), "type": _(type_name(value))}
        )
    whole = written_path((*path, key if isinstance(key, (str, int)) else str(key)))
    raise UnresolvedReference(
        _("%(whole)s does not exist: %(reason)s.") % {"whole": whole, "reason": reason}, path=whole, column=column
    )


def _look_into(large: Large, key: Any, path: tuple[str | int, ...], column: int) -> Any:
    """Do as ``_look_up`` in a value of which only what is asked for is read. Raises Unready."""
    shape = large.shape()
    if isinstance(shape, tuple):
        return _look_up(shape[0], key, path, column)
    is_object = shape.kind == "{"
    if type(key) is not (str if is_object else int):
        # Nothing of it is needed to say that this does not fit.
        return _look_up({} if is_object else [], key, path, column)
    found = large.part(key)
    if found is not MISSING:
        return found
    if isinstance(key, str):
        raise _missing(key, large.names(), path, column)
    whole = written_path((*path, key))
    raise UnresolvedReference(
        _("%(whole)s does not exist: the list has %(count)s item(s).") % {"whole": whole, "count": shape.count},
        path=whole,
        column=column,
    )


def _missing(key: str, known: list[Any], path: tuple[str | int, ...], column: int) -> UnresolvedReference:
    whole = written_path((*path, key))
    near = get_close_matches(key[:100], [name for name in known if isinstance(name, str) and len(name) <= 100], n=1)
    nearest = written_path((*path, near[0])) if near else ""
    hint = _(" Did you mean %(nearest)s?") % {"nearest": nearest} if nearest else ""
    return UnresolvedReference(
        _("%(whole)s does not exist.%(hint)s") % {"whole": whole, "hint": hint},
        path=whole,
        nearest=nearest,
        column=column,
    )


def _add(left: Any, right: Any, context: Context) -> Any:
    if is_number(left) and is_number(right):
        return checked_number(left + right)
    if isinstance(left, str) and isinstance(right, str):
        context.spend(len(left) + len(right))
        return checked_text(left + right)
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        context.spend(len(left) + len(right))
        if len(left) + len(right) > MAX_ITEMS:
            raise ExpressionError(_("The list would be too long."))
        return [*left, *right]
    raise ExpressionError(
        _("+ cannot join a %(left)s and a %(right)s; text() makes a text of a value.")
        % {"left": _(type_name(left)), "right": _(type_name(right))}
    )


def _arithmetic(symbol: str, compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Context], Any]:
    def evaluate(left: Any, right: Any, context: Context) -> Any:
        if not (is_number(left) and is_number(right)):
            raise ExpressionError(
                _("%(symbol)s takes two numbers, not a %(left)s and a %(right)s; number() makes one.")
                % {"symbol": symbol, "left": _(type_name(left)), "right": _(type_name(right))}
            )
        try:
            return checked_number(compute(left, right))
        except ZeroDivisionError:
            raise ExpressionError(_("%(symbol)s by zero has no result.") % {"symbol": symbol}) from None
        except OverflowError:
            raise ExpressionError(_("The number is too large.")) from None

    return evaluate


def _divide(left: Any, right: Any) -> Any:
    # 10 / 2 is 5: JSON knows one kind of number, and 5.0 reads odd in a text.
    if isinstance(left, int) and isinstance(right, int) and right and left % right == 0:
        return left // right
    return left / right


def _ordered(compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Context], bool]:
    def evaluate(left: Any, right: Any, context: Context) -> bool:
        if (is_number(left) and is_number(right)) or (isinstance(left, str) and isinstance(right, str)):
            return bool(compute(left, right))
        raise ExpressionError(
            _("A %(left)s and a %(right)s have no order.") % {"left": _(type_name(left)), "right": _(type_name(right))}
        )

    return evaluate


def _contains(item: Any, holder: Any, context: Context) -> bool:
    if isinstance(holder, str):
        if not isinstance(item, str):
            raise ExpressionError(_("Only a text can be in a text, not a %(type)s.") % {"type": _(type_name(item))})
        context.spend(len(holder))
        return item in holder
    if isinstance(holder, Mapping):
        return isinstance(item, str) and item in holder
    if isinstance(holder, (list, tuple)):
        context.spend(len(holder))
        return any(same(item, other, context) for other in holder)
    raise ExpressionError(
        _("`in` looks into a list, an object or a text, not a %(type)s.") % {"type": _(type_name(holder))}
    )


def _equal(left: Any, right: Any, context: Context) -> bool:
    if isinstance(left, (list, tuple, Mapping)):
        context.spend(weight(left, context.fuel))
    return same(left, right, context)


_BINARY: Final[Mapping[type[ast.operator], Callable[[Any, Any, Context], Any]]] = {
    ast.Add: _add,
    ast.Sub: _arithmetic("-", operator.sub),
    ast.Mult: _arithmetic("*", operator.mul),
    ast.Div: _arithmetic("/", _divide),
    ast.Mod: _arithmetic("%", operator.mod),
}
_COMPARISONS: Final[Mapping[type[ast.cmpop], Callable[[Any, Any, Context], bool]]] = {
    ast.Eq: _equal,
    ast.NotEq: lambda left, right, context: not _equal(left, right, context),
    ast.Lt: _ordered(operator.lt),
    ast.LtE: _ordered(operator.le),
    ast.Gt: _ordered(operator.gt),
    ast.GtE: _ordered(operator.ge),
    ast.In: _contains,
    ast.NotIn: lambda left, right, context: not _contains(left, right, context),
}
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
