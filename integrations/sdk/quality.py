"""How good an integration is: a level that its author claims, and rules that are worked out from code and exchanges.

Beside a provider's declaration lies ``quality.toml``:

    level = "gold"
    official_description = ["tests/contract/test_slack_description.py"]

    [exempt]
    idempotency = "The API takes no key: a message whose answer was lost is an unknown outcome."

Only what code cannot tell stands there. ``integration lint`` refuses a level whose rules are not kept, and an exemption
that nobody needs. A provider without a folder of its own claims its level in its declaration.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from pydantic import ValidationError

from integrations.sdk.action import Action
from integrations.sdk.contract import contract_problems
from integrations.sdk.declaration import Declaration
from integrations.sdk.exchange import BadExchange, load
from integrations.sdk.lint import LIBRARY, Finding
from integrations.sdk.provider import QUALITIES, Provider
from integrations.words import gettext_noop

FILE: Final = "quality.toml"
EXCHANGES: Final = Path("tests") / "contract" / "exchanges"
LEVELS: Final = QUALITIES[1:]
_CHANGES: Final = frozenset({"create", "update", "delete"})

State: TypeAlias = Literal["met", "exempt", "unmet"]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Something that a level stands for; without a level it is told and not asked for."""

    key: str
    level: str
    words: str


RULES: Final = (
    Rule(key="documented", level="bronze", words=gettext_noop("A description, and a link to the API's documentation.")),
    Rule(key="connection_test", level="bronze", words=gettext_noop("A credential can be tested before it is used.")),
    Rule(
        key="typed_output",
        level="bronze",
        words=gettext_noop("Each action and trigger says what it gives, with a sample that fits."),
    ),
    Rule(
        key="exchanges",
        level="silver",
        words=gettext_noop("Each action over HTTP keeps to what every failure must become, tried with its exchange."),
    ),
    Rule(
        key="idempotency",
        level="gold",
        words=gettext_noop("What changes something can be repeated without harm, or the file says why it cannot."),
    ),
    Rule(
        key="official_description",
        level="gold",
        words=gettext_noop("Tests that the file names hold requests against the provider's own description."),
    ),
    Rule(key="dynamic_options", level="", words=gettext_noop("Fields list the choices that the service knows.")),
    Rule(key="oauth2", level="", words=gettext_noop("People connect it by signing in at the provider.")),
)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a provider's author says of it, and what is wrong with how it is said."""

    level: str = ""
    official_description: Sequence[str] = ()
    exempt: Mapping[str, str] = field(default_factory=dict)
    problems: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One rule and how it stands: ``why`` is what is missing, or why it need not be kept."""

    rule: Rule
    state: State
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """A provider's claim, and every rule with its verdict."""

    provider: Provider
    claim: Claim
    verdicts: Sequence[Verdict]

    @property
    def level(self) -> str:
        return self.claim.level

    @property
    def broken(self) -> tuple[Verdict, ...]:
        """The rules that the claimed level stands for and that are not kept."""
        held = LEVELS[: LEVELS.index(self.level) + 1] if self.level in LEVELS else ()
        return tuple(each for each in self.verdicts if each.rule.level in held and each.state == "unmet")


@dataclass(frozen=True, kw_only=True)
class _Looked:
    """What rules are worked out from. ``root`` holds the tests, None where they are not there to look at."""

    provider: Provider
    declared: Sequence[Declaration]
    claim: Claim
    root: Path | None

    @cached_property
    def actions(self) -> list[Action]:
        return [each for each in self.declared if isinstance(each, Action)]

    @property
    def is_claimed(self) -> bool:
        """Whether the tests were there when the library was released, and lint with them."""
        return self.root is None and self.provider.origin.startswith("integrations.")


def folder_of(provider: Provider) -> Path | None:
    """Return the folder of a provider that is a package; None for one that is a single module."""
    module = sys.modules.get(provider.origin.rpartition(":")[0])
    path = Path(getattr(module, "__file__", None) or "")
    return path.parent if path.name == "__init__.py" else None


def claim_of(provider: Provider) -> Claim:
    """Return what ``quality.toml`` claims, or the declaration where there is no such file."""
    folder = folder_of(provider)
    path = folder / FILE if folder else None
    if path is None or not path.is_file():
        wants = folder is not None and not provider.quality and provider.origin.startswith(LIBRARY)
        missing = f'it has no {FILE}: write one beside its declaration, with level = "bronze" for a start'
        return Claim(level=provider.quality, problems=[missing] if wants else [])
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return Claim(problems=[f"its {FILE} cannot be read: {error}"])
    return _claim(provider, document)


def _claim(provider: Provider, document: Mapping[str, Any]) -> Claim:
    level, tests, exempt = (document.get(name) for name in ("level", "official_description", "exempt"))
    tests, exempt = tests or [], exempt or {}
    problems = [
        f"its {FILE} says {name!r}, which means nothing there: it takes level, official_description and exempt"
        for name in document.keys() - {"level", "official_description", "exempt"}
    ]
    if level not in LEVELS:
        problems.append(f"the level in its {FILE} must be one of {', '.join(LEVELS)}")
    if provider.quality:
        problems.append(f"its level stands in {FILE}: take quality=… out of its declaration")
    if not isinstance(tests, list) or not all(isinstance(each, str) for each in tests):
        problems.append(f"official_description in its {FILE} must be a list of test files")
        tests = []
    if not isinstance(exempt, dict) or not all(isinstance(why, str) and why.strip() for why in exempt.values()):
        problems.append(f"exempt in its {FILE} must give each rule a reason")
        exempt = {}
    problems += [
        f"its {FILE} exempts it from {key!r}, which is no rule of a level: those are {', '.join(_asked())}"
        for key in exempt
        if key not in _asked()
    ]
    return Claim(level=level if level in LEVELS else "", official_description=tests, exempt=exempt, problems=problems)


def _asked() -> list[str]:
    return [rule.key for rule in RULES if rule.level]


def assess(provider: Provider, declared: Iterable[Declaration], *, root: Path | None = None) -> Assessment:
    """Return every rule's verdict for a provider and what it declares; ``root`` is the folder that holds the tests."""
    claim = claim_of(provider)
    looked = _Looked(provider=provider, declared=tuple(declared), claim=claim, root=root)
    verdicts = [_verdict(rule, looked, claim) for rule in RULES]
    return Assessment(provider=provider, claim=claim, verdicts=verdicts)


def _verdict(rule: Rule, looked: _Looked, claim: Claim) -> Verdict:
    why = _CHECKS[rule.key](looked)
    if why and rule.key in claim.exempt:
        return Verdict(rule=rule, state="exempt", why=claim.exempt[rule.key])
    return Verdict(rule=rule, state="unmet" if why else "met", why=why)


def quality_findings(assessment: Assessment) -> Iterator[Finding]:
    """Yield what is false or missing in a provider's claim."""
    provider, claim = assessment.provider, assessment.claim
    told = [*claim.problems]
    told += [f"it claims {claim.level} and does not keep {each.rule.key}: {each.why}" for each in assessment.broken]
    told += [
        f"its {FILE} exempts it from {each.rule.key}, which it keeps: take the exemption out"
        for each in assessment.verdicts
        if each.state == "met" and each.rule.key in claim.exempt
    ]
    for text in told:
        yield Finding(place=provider.origin, key=provider.key, message=text)


def _documented(looked: _Looked) -> str:
    if not looked.provider.description:
        return "its provider has no description"
    undescribed = [each.key for each in looked.declared if each.description == each.name]
    if undescribed:
        return f"{undescribed[0]} has no description"
    return "" if looked.provider.docs_url or not looked.provider.base_url else "its provider has no docs_url"


def _connection_test(looked: _Looked) -> str:
    kinds = [kind.type for kind in looked.provider.auth if kind.type != "none"]
    untested = [kind for kind in kinds if looked.provider.auth_test(kind) is None]
    return f"its {untested[0]} has no test: give the auth kind test=…" if untested else ""


def _typed_output(looked: _Looked) -> str:
    for each in looked.declared:
        if each.output_schema is None or each.sample is None:
            return f"{each.key} has no output_schema with a sample"
        try:
            each.output_schema.model_validate(each.sample)
        except ValidationError:
            return f"the sample of {each.key} does not fit its output_schema"
    return ""


def _exchanges(looked: _Looked) -> str:
    if looked.root is None:
        return "" if looked.is_claimed else f"there is no {EXCHANGES} beside it to look at"
    for action in looked.actions:
        if not action.http:
            continue
        path = looked.root / EXCHANGES / f"{action.key}.json"
        if not path.is_file():
            return f"{action.key} has no {EXCHANGES / path.name}: write it with `integration try … --record`"
        try:
            problem = next(contract_problems(action, load(path)), "")
        except BadExchange as error:
            problem = str(error)
        if problem:
            return f"{action.key}: {problem}"
    return ""


def _idempotency(looked: _Looked) -> str:
    unsafe = [
        each.key
        for each in looked.actions
        if each.effect in _CHANGES and not each.idempotent and each.idempotent_when is None
    ]
    return f"{unsafe[0]} changes something and is not idempotent: say under exempt why" if unsafe else ""


def _official_description(looked: _Looked) -> str:
    named = looked.claim.official_description
    if not named:
        return f"its {FILE} names no tests under official_description"
    if looked.root is None:
        return "" if looked.is_claimed else "there are no tests beside it to look at"
    module = re.compile(rf"\bfrom {re.escape(looked.provider.origin.rpartition(':')[0])}(\.\w+)* import\b")
    for name in named:
        path = looked.root / name
        if not path.is_file():
            return f"{name} is not there"
        text = path.read_text(encoding="utf-8")
        if "described" not in text or "def test_" not in text or not module.search(text):
            return f"{name} holds nothing of it against an official description"
    return ""


def _dynamic_options(looked: _Looked) -> str:
    return "" if any(each.options for each in looked.actions) else "none of its fields has options"


def _oauth2(looked: _Looked) -> str:
    return "" if any(kind.type == "oauth2" for kind in looked.provider.auth) else "it offers no oauth2"


_CHECKS: Final[Mapping[str, Callable[[_Looked], str]]] = {
    "documented": _documented,
    "connection_test": _connection_test,
    "typed_output": _typed_output,
    "exchanges": _exchanges,
    "idempotency": _idempotency,
    "official_description": _official_description,
    "dynamic_options": _dynamic_options,
    "oauth2": _oauth2,
}
