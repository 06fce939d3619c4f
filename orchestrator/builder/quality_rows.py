"""How good an integration is, in words: its level, and the rules behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop

from integrations.sdk import Provider
from integrations.sdk.declaration import Declaration
from integrations.sdk.quality import assess, claim_of
from integrations.words import declared

_LEVELS: Final[Mapping[str, str]] = {"bronze": noop("Bronze"), "silver": noop("Silver"), "gold": noop("Gold")}
# Our own steps have no level: what they give depends on the workflow.
_OWN: Final = "integrations.builtin"


@dataclass(frozen=True, kw_only=True)
class QualityRow:
    """One rule: what it asks, whether it is kept, and why it need not be."""

    words: str
    is_kept: bool
    exempt: str = ""


@dataclass(frozen=True, kw_only=True)
class Quality:
    level: str
    rows: tuple[QualityRow, ...]


def level_words(provider: Provider) -> str:
    """Return the level that a provider's author claims, and lint verified; empty where there is none."""
    if provider.origin.startswith(_OWN):
        return ""
    level = _LEVELS.get(claim_of(provider).level)
    return _(level) if level else ""


def quality_of(provider: Provider, own: Sequence[Declaration]) -> Quality | None:
    """Return level and rules of a provider with what it declares; None where it claims no level."""
    level = level_words(provider)
    if not level:
        return None
    verdicts = assess(provider, own).verdicts
    rows = tuple(
        QualityRow(
            words=_(each.rule.words),
            is_kept=each.state == "met",
            exempt=declared(each.why) if each.state == "exempt" else "",
        )
        for each in verdicts
        if each.rule.level or each.state == "met"
    )
    return Quality(level=level, rows=rows)
