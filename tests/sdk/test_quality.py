"""Levels of quality: claimed in a file, worked out from the code, and refused where they are not true."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from integrations.registry import load_module, registry
from integrations.sdk.quality import FILE, Assessment, assess, quality_findings
from integrations.sdk.scaffold import as_package
from tests.contract.recorded import FOLDER

NAME = "acme_graded"
ROOT = FOLDER.parents[2]


class Package:
    """A package that was just written, with a quality file to change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        as_package(NAME, folder).write()
        load_module(NAME)
        self.action = importlib.import_module(f"{NAME}.actions").get

    def assessed(self, claim: str = "", *, root: Path | None = None) -> Assessment:
        if claim:
            (self.folder / NAME / FILE).write_text(claim)
        return assess(self.action.provider, [self.action], root=root)

    def findings(self, claim: str, *, root: Path | None = None) -> list[str]:
        return [finding.message for finding in quality_findings(self.assessed(claim, root=root))]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    monkeypatch.syspath_prepend(str(tmp_path))
    yield Package(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == NAME]:
        del sys.modules[name]


def test_every_level_of_the_library_is_true() -> None:
    declared = (*registry.actions(), *registry.triggers())
    levels = {}
    for provider in registry.providers():
        if provider.origin.startswith("integrations.providers"):
            found = assess(provider, [each for each in declared if each.provider is provider], root=ROOT)
            levels[provider.key] = found.level
            assert [str(finding) for finding in quality_findings(found)] == []
    assert (levels["slack"], levels["hello"], levels["rss"]) == ("gold", "silver", "bronze")


def test_what_integration_new_writes_is_bronze_and_silver_with_its_exchange(package: Package) -> None:
    assert package.findings('level = "bronze"') == []
    (finding,) = package.findings('level = "silver"', root=package.folder)
    assert finding.startswith(
        "it claims silver and does not keep exchanges: acme_graded.getItem has no tests/contract/"
    )
    exchange = package.folder / "tests/contract/exchanges/acme_graded.getItem.json"
    exchange.parent.mkdir(parents=True)
    exchange.write_text('{"answer": {"id": "42", "name": "Answer"}}')
    assert package.findings('level = "silver"', root=package.folder) == []
    exchange.write_text('{"answer": {"id": "42", "name": "Answer", "password": "x"}}')
    (finding,) = package.findings('level = "silver"', root=package.folder)
    assert "holds a secret at answer.password" in finding
    exchange.write_text('{"answer": {"id": "42"}}')
    (finding,) = package.findings('level = "silver"', root=package.folder)
    assert "its exchange fails" in finding


@pytest.mark.parametrize(
    ("claim", "says"),
    [
        ('level = "gold"', "does not keep exchanges: there is no tests/contract/exchanges beside it"),
        ('level = "platinum"', "the level in its quality.toml must be one of bronze, silver, gold"),
        ('level = "bronze"\nstars = 5', "its quality.toml says 'stars', which means nothing there"),
        ("level =", "its quality.toml cannot be read"),
        ('level = "bronze"\n[exempt]\nidempotency = "no key"', "exempts it from idempotency, which it keeps"),
        ('level = "bronze"\n[exempt]\nluck = "none"', "exempts it from 'luck', which is no rule of a level"),
        ('level = "bronze"\n[exempt]\nexchanges = ""', "exempt in its quality.toml must give each rule a reason"),
        ('level = "bronze"\nofficial_description = "a.py"', "official_description in its quality.toml must be a list"),
    ],
)
def test_a_claim_that_is_false_or_unclear_is_refused(package: Package, claim: str, says: str) -> None:
    assert any(says in finding for finding in package.findings(claim))


def test_tests_against_an_official_description_must_be_there_and_be_about_it(package: Package) -> None:
    def of(text: str | None) -> str:
        if text is not None:
            (package.folder / "tests" / "test_described.py").write_text(text)
        claim = 'level = "gold"\nofficial_description = ["tests/test_described.py"]'
        (why,) = (
            each.why
            for each in package.assessed(claim, root=package.folder).verdicts
            if each.rule.key == "official_description"
        )
        return why

    assert of(None) == "tests/test_described.py is not there"
    assert "holds nothing of it" in of("from integrations.providers.slack import slack\n")
    about = f"from {NAME}.actions import get\nfrom tests.contract.described import described\n"
    assert of(f"{about}pytestmark = described\ndef test_it(): ...\n") == ""


def test_a_rule_that_is_not_kept_may_be_exempted_with_a_reason(package: Package) -> None:
    claim = 'level = "silver"\n[exempt]\nexchanges = "Nothing of it can be recorded: it answers with sound."'
    assert package.findings(claim) == []
    (verdict,) = (each for each in package.assessed().verdicts if each.rule.key == "exchanges")
    assert (verdict.state, verdict.why) == ("exempt", "Nothing of it can be recorded: it answers with sound.")
