"""What a run used of language models: the sum of what its steps' rows say. Reads only."""

from __future__ import annotations

from typing import Any, Final

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from integrations.registry import registry
from orchestrator.flow.tools import AGENT
from runs.models import Run, StepRun
from runs.outline import tree_of, walk

# Answers that are added up for one run.
MOST_READ: Final = 10_000
_COUNTS: Final = ("input_tokens", "output_tokens", "cached_tokens")


def run_usage(run: Run) -> dict[str, Any] | None:
    """Return what a run used of language models, None for one without such a step; one query where there is one.

    ``{"answers", "input_tokens", "output_tokens", "cached_tokens", "cost", "price_as_of", "unpriced", "models",
    "complete"}``: ``cost`` is in US dollars, of those answers whose price is known, by a list not older than
    ``price_as_of``; ``unpriced`` are the models whose price is not.
    """
    if not any(_asks_model(step.action) for step in walk(tree_of(run.version))):
        return None
    rows = StepRun.objects.for_tenant(run.tenant_id).filter(run=run.pk, usage__isnull=False)
    found: list[Any] = list(rows.order_by().values_list("usage", flat=True)[: MOST_READ + 1])
    counted = found[:MOST_READ]
    costs = [usage["cost"] for usage in counted if usage.get("cost") is not None]
    days = {str(usage["price_as_of"]) for usage in counted if usage.get("price_as_of")}
    return {
        "answers": len(counted),
        **{name: sum(usage.get(name) or 0 for usage in counted) for name in _COUNTS},
        "cost": round(sum(costs), 9) if costs else None,
        "price_as_of": min(days, default=None),
        "unpriced": sorted({str(usage.get("model")) for usage in counted if usage.get("cost") is None}),
        "models": sorted({str(usage.get("model")) for usage in counted}),
        "complete": len(found) <= MOST_READ,
    }


def usage_words(usage: dict[str, Any]) -> str:
    """Return the same in words, of one answer or of a run: ``1,234 tokens, 0.0012 US dollars``."""
    tokens = int(usage["input_tokens"]) + int(usage["output_tokens"])
    said = ngettext("%(tokens)s token", "%(tokens)s tokens", tokens)
    words = [said % {"tokens": number_format(tokens, force_grouping=True)}]
    cost = usage.get("cost")
    if cost is not None:
        words.append(_("%(cost)s US dollars") % {"cost": f"{cost:.4f}" if cost >= 0.0001 else f"{cost:.6f}"})
    unpriced = usage.get("unpriced", [usage["model"]] if cost is None and usage.get("model") else [])
    if unpriced:
        words.append(_("the price of %(models)s is not known") % {"models": ", ".join(unpriced[:3])})
    if usage.get("price_as_of") not in (None, "operator"):
        words.append(_("prices of %(day)s") % {"day": usage["price_as_of"]})
    if not usage.get("complete", True):
        words.append(_("and more"))
    return ", ".join(words)


def _asks_model(key: str) -> bool:
    action = registry.get(key)
    return key == AGENT or (action is not None and action.tokens is not None)
