"""Where a new step goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from django.utils.translation import gettext as _

from orchestrator.builder.spoken import step_title
from orchestrator.flow.tools import AGENT
from orchestrator.workflows.models import Step, Workflow
from runs.outline import lane_words


@dataclass(frozen=True, kw_only=True)
class Spot:
    """Behind a step, first in a step's lane, or first of all (nothing set); ``is_tool`` among an agent's tools."""

    after: str = ""
    parent: str = ""
    lane: str = ""
    words: str = ""
    is_tool: bool = False

    @property
    def query(self) -> str:
        given = {"after": self.after} if self.after else {"parent": self.parent, "lane": self.lane}
        return urlencode(given if any(given.values()) else {"first": "1"})


def spot_of(workflow: Workflow, given: Mapping[str, str]) -> Spot:
    """Return where the step goes; without a word about it, the end of the workflow."""
    rows = list(Step.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow).order_by("position", "id"))
    named, agents = {row.key: row for row in rows}, {row.pk for row in rows if row.action == AGENT}
    after, parent = given.get("after", ""), given.get("parent", "")
    if not after and not parent and "first" not in given:
        after = next((row.key for row in reversed(rows) if row.parent_id is None), "")
    if after in named:
        words = _("After “%(name)s”") % {"name": _title(named[after])}
        return Spot(after=after, words=words, is_tool=named[after].parent_id in agents)
    lane = given.get("lane", "")[:63]
    if parent in named and lane:
        values = {"name": _title(named[parent]), "lane": lane_words(named[parent].action, lane)}
        words = _("In “%(name)s”, first in %(lane)s") % values
        return Spot(parent=parent, lane=lane, words=words, is_tool=named[parent].pk in agents)
    return Spot(words=_("As the first step"))


def _title(row: Step) -> str:
    return step_title(row.name, row.action, row.key)
