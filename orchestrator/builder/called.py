"""Ways from a step to other workflows: to the one that it calls, and into a new one for what a lane of it holds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.urls import reverse

from orchestrator.flow.calls import CALL
from orchestrator.flow.definition import StepDefinition
from orchestrator.flow.names import SLUG_PATTERN
from orchestrator.flow.tools import AGENT
from orchestrator.workflows.models import Workflow

if TYPE_CHECKING:
    from orchestrator.builder.board import Board


@dataclass(frozen=True, kw_only=True)
class Called:
    """A called workflow: its name and its address."""

    name: str
    url: str


def called_by(board: Board, step: StepDefinition) -> Called | None:
    """Return the workflow that a step calls by its name, None for any other step; one query for a call alone."""
    slug = step.config.inputs.get("workflow")
    if step.action != CALL or not isinstance(slug, str) or not re.fullmatch(SLUG_PATTERN, slug):
        return None
    found = Workflow.objects.for_tenant(board.tenant).filter(slug=slug).only("name").first()
    if found is None:
        return None
    return Called(name=found.name, url=reverse("workflow", args=[board.tenant.slug, found.pk]))


def extract_url(board: Board, step: StepDefinition, lane: str = "") -> str:
    """Return where a lane of a step is moved into its own workflow; without one it is chosen there.

    Empty for an agent, whose tools no workflow runs one after the other.
    """
    if step.action == AGENT:
        return ""
    url = board.url("workflow-step-extract", step.key)
    return f"{url}?{urlencode({'lane': lane})}" if lane else url
