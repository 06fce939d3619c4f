"""What is told to a person can be translated: no message of an error or a finding is a plain text."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final, TypeAlias

import pytest
from django.conf import settings

from orchestrator.management.commands.makemessages import Command

ROOT: Final = Path(settings.BASE_DIR)
# What carries a message to a person, with the place of the message among its arguments. Classes derived from these too.
CARRIERS: Final = {
    "ServiceError": 0,
    "Problem": 1,
    "ExpressionError": 0,
    "BadRequest": 0,
    "BadJSON": 0,
    # What a run keeps: what integrations raise, and what the engine makes of it, by name alone.
    "IntegrationError": 0,
    "CodeFailed": 0,
    "NoCredential": 0,
    "CredentialUnavailable": 0,
    "Failure": 99,
}
NAMES: Final = {"message", "said"}
# What marks a text. ``noop`` is how pages shorten the long name.
MARKS: Final = frozenset({"_", "gettext", "ngettext", "gettext_noop", "noop", "gettext_lazy", "ngettext_lazy"})
# Those among them that translate at once.
AT_ONCE: Final = frozenset({"_", "gettext", "ngettext", "declared"})
# Where a plain text is right, and why.
PLAIN: Final = {
    "orchestrator/bootstrap.py": "told in the terminal of whoever sets the product up",
    "orchestrator/tenants/id_tokens.py": "a claim's name, for the operator's log",
}

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Calls: TypeAlias = dict[str, int]


@dataclass
class Module:
    """One file: its tree, the calls whose argument of a place is a message, and its own texts."""

    tree: ast.Module
    calls: Calls = field(default_factory=dict)
    constants: dict[str, list[ast.expr]] = field(default_factory=dict)
    imports: frozenset[tuple[str | None, str]] = frozenset()
    handing: list[tuple[Function, list[str], list[ast.Call]]] = field(default_factory=list)

    @classmethod
    def of(cls, source: str) -> Module:
        tree = parsed(source)
        imports = {
            (node.module, alias.name)
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        found = cls(tree=tree, constants=_assigned(tree.body), imports=frozenset(imports))
        found.handing = list(_handing(tree))
        return found


@cache
def parsed(source: str) -> ast.Module:
    """Return the tree of a file; every test looks at all of them."""
    return ast.parse(source)


@cache
def sources() -> tuple[tuple[str, str], ...]:
    return tuple(_sources())


def _sources() -> Iterator[tuple[str, str]]:
    for package in ("orchestrator", "runs", "integrations"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if not {"migrations", "management", "examples"} & set(path.parts):
                yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


def plain_messages(files: Mapping[str, str]) -> list[str]:
    """Return ``file:line`` of every message that is a plain text."""
    modules = {name: Module.of(source) for name, source in files.items()}
    _find_carriers(modules)
    while _find_helpers(modules):
        pass
    found = []
    for name, module in modules.items():
        for function in (None, *_functions(module.tree)):
            known = {**module.constants, **(_assigned(ast.walk(function)) if function else {})}
            found += [f"{name}:{line}" for line in _plain_in(module, function, known)]
    return sorted(set(found))


def _find_carriers(modules: Mapping[str, Module]) -> None:
    """Give each module the classes that carry messages, by their names: these are the house's own, and told apart."""
    places = dict(CARRIERS)
    classes = [node for module in modules.values() for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef)]
    while new := {
        node.name: places[base.id]
        for node in classes
        for base in node.bases
        if isinstance(base, ast.Name) and base.id in places and node.name not in places
    }:
        places |= new
    for module in modules.values():
        module.calls |= places


def _find_helpers(modules: Mapping[str, Module]) -> bool:
    """Add the functions that hand a parameter on as a message; say whether there were new ones."""
    changed = False
    for name, module in modules.items():
        for function, parameters, calls in module.handing:
            for call in calls:
                text = _message_of(call, module.calls)
                if not isinstance(text, ast.Name) or text.id not in parameters or function.name in module.calls:
                    continue
                place = parameters.index(text.id) - (parameters[0] == "self")
                module.calls[function.name] = place
                changed = True
                dotted = name.removesuffix(".py").replace("/", ".")
                for other in modules.values():
                    if (dotted, function.name) in other.imports:
                        other.calls.setdefault(function.name, place)
    return changed


def _handing(tree: ast.Module) -> Iterator[tuple[Function, list[str], list[ast.Call]]]:
    """Yield functions with their parameters and the calls that they hand one of these on to, as it is."""
    for function in _functions(tree):
        parameters = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
        calls = [
            node
            for node in ast.walk(function)
            if isinstance(node, ast.Call)
            and any(
                isinstance(given, ast.Name) and given.id in parameters
                for given in (*node.args, *(each.value for each in node.keywords))
            )
        ]
        if calls:
            yield function, parameters, calls


def _plain_in(module: Module, function: Function | None, known: Mapping[str, list[ast.expr]]) -> Iterator[int]:
    """Yield the lines of plain messages in a function, or in what is in none."""
    for node in ast.walk(function) if function else _outside(module.tree):
        for text in (_message_of(node, module.calls), _hint_of(node, module.calls)):
            if text is not None and _is_plain(text, known, frozenset()):
                yield node.lineno  # type: ignore[attr-defined]


def _message_of(node: ast.AST, calls: Mapping[str, int]) -> ast.expr | None:
    """Return what a call is given as its message, if it is a call that takes one."""
    if not isinstance(node, ast.Call):
        return None
    called = node.func
    name = called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
    if isinstance(called, ast.Attribute) and not (isinstance(called.value, ast.Name) and called.value.id == "self"):
        return None
    if name not in calls:
        return None
    for keyword in node.keywords:
        if keyword.arg in NAMES:
            return keyword.value
    place = calls[name]
    return node.args[place] if place < len(node.args) else None


def _hint_of(node: ast.AST, calls: Mapping[str, int]) -> ast.expr | None:
    """Return what a call that takes a message is given as the hint beside it."""
    is_one = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in calls
    return next((each.value for each in node.keywords if each.arg == "hint"), None) if is_one else None  # type: ignore[attr-defined]


def _is_plain(text: ast.expr, known: Mapping[str, list[ast.expr]], seen: frozenset[str]) -> bool:
    """Whether a text, or one of those it may be, has words in it that are not marked."""
    match text:
        case ast.Constant(value=str(said)):
            return any(letter.isalpha() for letter in said)
        case ast.JoinedStr(values=parts):
            return any(isinstance(part, ast.Constant) and _is_plain(part, known, seen) for part in parts)
        case ast.IfExp(body=one, orelse=other):
            return _is_plain(one, known, seen) or _is_plain(other, known, seen)
        case ast.BoolOp(values=values):
            return any(_is_plain(value, known, seen) for value in values)
        case ast.BinOp(left=left, op=ast.Mod()):
            return _is_plain(left, known, seen)
        case ast.BinOp(left=left, right=right):
            return _is_plain(left, known, seen) or _is_plain(right, known, seen)
        case ast.Call(func=ast.Attribute(attr="format", value=value)):
            return _is_plain(value, known, seen)
        case ast.Subscript(value=ast.Name(id=name)) | ast.Name(id=name) if name not in seen:
            return any(_is_plain(value, known, seen | {name}) for value in known.get(name, ()))
        case ast.Dict(values=values):
            return any(_is_plain(value, known, seen) for value in values if value is not None)
    return False


def _assigned(nodes: Iterator[ast.AST] | list[ast.stmt]) -> dict[str, list[ast.expr]]:
    """Return what is assigned to each name, of ``a, b = x, y`` too."""
    found: dict[str, list[ast.expr]] = {}
    for node in nodes:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if not isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign) or value is None:
            continue
        for target in targets:
            if isinstance(target, ast.Name):
                found.setdefault(target.id, []).append(value)
            elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                for each, part in zip(target.elts, value.elts, strict=False):
                    if isinstance(each, ast.Name):
                        found.setdefault(each.id, []).append(part)
    return found


def _functions(tree: ast.Module) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _outside(node: ast.AST) -> Iterator[ast.AST]:
    """Yield everything that is done at import: outside of functions, with their defaults and decorators."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            for given in (*child.decorator_list, *child.args.defaults, *filter(None, child.args.kw_defaults)):
                yield given
                yield from _outside(given)
        elif not isinstance(child, ast.Lambda):
            yield child
            yield from _outside(child)


def wrong_marks(source: str) -> list[int]:
    """Return the lines that mark a text made of values, or translate one at import, in the language of nobody."""
    tree = parsed(source)
    made = [
        node.lineno
        for node in ast.walk(tree)
        if _marks(node, MARKS) and any(isinstance(given, ast.JoinedStr) for given in node.args)  # type: ignore[attr-defined]
    ]
    return [*made, *(node.lineno for node in _outside(tree) if _marks(node, AT_ONCE))]  # type: ignore[attr-defined]


def _marks(node: ast.AST, names: frozenset[str]) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names


def test_every_message_can_be_translated() -> None:
    found = plain_messages(dict(sources()))
    assert [place for place in found if place.partition(":")[0] not in PLAIN] == []
    assert {place.partition(":")[0] for place in found} == set(PLAIN), "an exception that is none any more"


def test_what_a_check_of_an_action_refuses_can_be_translated() -> None:
    """A ``ValueError`` of a declaration is told to people as it is."""
    plain = re.compile(r"raise ValueError\(f?[\"']")
    of_actions = [
        each for each in sources() if each[0].startswith(("integrations/builtin/", "integrations/providers/"))
    ]
    assert len(of_actions) > 30
    assert [name for name, source in of_actions if plain.search(source)] == []


def unfilled(source: str) -> list[int]:
    """Return the lines where a named place of a text is not filled in."""
    found = []
    for node in ast.walk(parsed(source)):
        match node:
            case ast.BinOp(left=ast.Call(args=texts) as call, op=ast.Mod(), right=ast.Dict(keys=keys)):
                named = {key.value for key in keys if isinstance(key, ast.Constant)}
                for text in texts:
                    if _marks(call, MARKS) and isinstance(text, ast.Constant) and isinstance(text.value, str):
                        places = set(re.findall(r"(?<!%)%\((\w+)\)", text.value))
                        found += [node.lineno] if places - named and None not in keys else []
    return found


def test_every_place_in_a_text_is_filled() -> None:
    assert [(name, line) for name, source in sources() for line in unfilled(source)] == []
    assert unfilled('_("%(key)s is gone.") % {"name": key}') == [1]
    assert unfilled('_("%(key).80r is gone.") % {"key": key}') == []


def test_what_pydantic_finds_is_read_in_one_place() -> None:
    read = {name.removeprefix(f"{ROOT}/") for name, source in sources() if re.search(r"\.errors\(include_", source)}
    # The other one names the places alone.
    assert read == {"integrations/findings.py", "runs/engine/classify.py"}


def test_texts_are_marked_whole_and_translated_when_they_are_needed() -> None:
    assert [(name, line) for name, source in sources() for line in wrong_marks(source)] == []


def kept_words(source: str) -> list[int]:
    """Return the lines of functions that keep what they give and translate a text for it: in whose language?"""
    return [
        function.lineno
        for function in _functions(parsed(source))
        if any(re.search(r"\b(?:lru_)?cache\b", ast.unparse(each)) for each in function.decorator_list)
        # What is raised is not kept.
        and any(_marks(node, AT_ONCE) for node in ast.walk(_without_raises(deepcopy(function))))
    ]


def _without_raises(node: ast.AST) -> ast.AST:
    class Left(ast.NodeTransformer):
        def visit_Raise(self, node: ast.Raise) -> ast.Pass:
            return ast.copy_location(ast.Pass(), node)

    return Left().visit(node)


def test_nothing_that_is_kept_holds_words_of_one_language() -> None:
    assert [(name, line) for name, source in sources() for line in kept_words(source)] == []
    assert kept_words('@lru_cache(maxsize=9)\ndef some():\n    return _("Gone.")\n') == [2]
    assert kept_words('@cache\ndef some():\n    return _("Gone.")\n') == [2]
    assert kept_words('@kept_by_language(maxsize=9)\ndef some():\n    return _("Gone.")\n') == []


def test_makemessages_finds_every_mark_by_its_name() -> None:
    # What the tool knows of Python by itself, and what it is told.
    known = {"_", "gettext", "ngettext", "gettext_noop", "gettext_lazy", "ngettext_lazy"}
    known |= {option.removeprefix("--keyword=").partition(":")[0] for option in Command.xgettext_options}
    used = {
        alias.asname or alias.name
        for _name, source in sources()
        for node in ast.walk(parsed(source))
        if isinstance(node, ast.ImportFrom) and node.module in ("django.utils.translation", "integrations.words")
        for alias in node.names
        if "gettext" in alias.name
    }
    assert "noop" in used
    assert used <= known


@pytest.mark.parametrize(
    "body",
    [
        'raise Conflict("It is gone.")',
        'raise Invalid(f"{key} is gone.", code="gone")',
        'message = f"{key} is gone."\n    raise NotFound(message)',
        'raise Invalid(_("Nothing was saved."), problems=[Problem(path="a", message="Wrong.", code="b")])',
        'raise Forbidden("Not you." if key else _("Nor you."))',
        "raise Conflict(TEXT)",
        'raise Gone(_("It is gone."), hint="Look for another.")',
        'return Failure(kind=1, message=f"{key} failed.")',
        "raise Conflict(TEXTS[key])",
        'raise Conflict("{} is gone.".format(key))',
        'raise Conflict("%s is gone." % key)',
        'raise Late("Too late.")',
        'raise _told("a", "Wrong.")',
        'raise _told_of("a", f"{key} is wrong.")',
    ],
)
def test_a_plain_message_is_found(body: str) -> None:
    assert plain_messages(_planted(body)) == ["orchestrator/some.py:7"]


@pytest.mark.parametrize(
    "body",
    [
        'raise Conflict(_("It is gone."))',
        'message = _("%(key)s is gone.") % {"key": key}\n    raise NotFound(message)',
        "raise Invalid(str(key))",
        'raise Invalid(f"{key}: {key}")',
        'raise _told("a", _("Wrong."))',
        'raise KeyError("no person reads this")',
        "raise Conflict(_(MARKED))",
    ],
)
def test_a_marked_message_is_left_alone(body: str) -> None:
    assert plain_messages(_planted(body)) == []


def _planted(body: str) -> dict[str, str]:
    lines = body.count("\n")
    above = "TEXT = 'It is gone.'; TEXTS = {'a': 'It is gone.'}; MARKED = noop('It is gone.')\n"
    text = f"{above}class Late(Conflict): pass\n{'#' * (1 - lines)}\n\n\ndef some(key):\n"
    if lines:
        text = text.replace("\n\n\n\n", "\n\n\n")
    told = "def _told(path, message):\n    return Invalid(message, problems=[])\n"
    over = "def _told_of(path, said):\n    return _told(path, said)\n"
    base = "class ServiceError(Exception): pass\nclass Gone(IntegrationError): pass\n" + "".join(
        f"class {name}(ServiceError): pass\n" for name in ("Invalid", "Conflict", "NotFound", "Forbidden")
    )
    return {"orchestrator/errors.py": base, "orchestrator/some.py": f"{text}    {body}\n{told}{over}"}


def test_marks_in_the_wrong_place_are_found() -> None:
    assert wrong_marks('def some(key):\n    return _(f"{key} is gone.")\n') == [2]
    assert wrong_marks('TEXT = _("Gone.")\n') == [1]
    assert wrong_marks('def some(text=_("Gone.")):\n    return text\n') == [1]
    assert wrong_marks('class Some:\n    text = gettext("Gone.")\n') == [2]
    assert wrong_marks('TEXT = noop("Gone.")\nMAKE = lambda: _("Gone.")\ndef some():\n    return _(TEXT)\n') == []
