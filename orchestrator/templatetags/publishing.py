"""What the builder's header says just after a publish."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import template

from orchestrator.workflows.models import Workflow
from orchestrator.workflows.returning import may_undo

register = template.Library()


@register.inclusion_tag("builder/_published.html", takes_context=True)
def just_published(context: Mapping[str, Any], workflow: Workflow) -> dict[str, Any]:
    """Show that a version is live, with what undoes it: to the person who published it, while it can be undone."""
    version, shell = workflow.published_version, context["shell"]
    is_theirs = version is not None and version.author_id == context["request"].user.pk
    shown = version if version is not None and is_theirs and shell.may_edit and may_undo(version) else None
    return {"version": shown, "workflow": workflow, "shell": shell, "csrf_token": context.get("csrf_token")}
