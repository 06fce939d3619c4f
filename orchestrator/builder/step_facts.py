"""What a page needs to know of a step by itself: its words, its lanes, its schema, and whether it changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop

from integrations.registry import registry
from integrations.sdk import Action
from integrations.sdk.fields import WORDS
from orchestrator.builder.spoken import input_schema_of
from orchestrator.flow.definition import StepDefinition
from orchestrator.flow.schemas import translated
from orchestrator.flow.scoping import LOOP
from orchestrator.flow.tools import AGENT

HTTP_ACTION: Final = "http.request"
# What an unregistered step can say: it runs as an HTTP or a sandbox step.
UNREGISTERED: Final[Mapping[str, Any]] = {
    "properties": {
        "url": {
            "type": "string", "title": noop("URL"),
            "description": noop("Given, the step runs as an HTTP request to it."),
        },
        "method": {"type": "string", "title": noop("Method"), "enum": ["GET", "POST", "PUT", "PATCH", "DELETE"]},
        "headers": {"type": "object", "title": noop("Headers"), "additionalProperties": {"type": "string"}},
        "body": {"title": noop("JSON body")},
        "code": {
            "type": "string", "title": noop("Code"), "format": "code",
            "description": noop("Given instead of a URL, the step runs this code in the sandbox."),
        },
        "language": {
            "type": "string", "title": noop("Language"), "enum": ["python", "javascript"],
            WORDS: {"python": noop("Python"), "javascript": noop("JavaScript")},
        },
        "input": {"title": noop("Input of the code")},
    }
}  # fmt: skip


def comparable(action: Action) -> bool:
    """Whether an action's calls are requests that can be held, and that an HTTP step could send as well.

    A plain function asks by a client of its own, which nobody holds.
    """
    is_request = action.http and action.is_async and not action.pure
    return is_request and action.lanes is None and action.key != HTTP_ACTION


def lane_names(step: StepDefinition) -> list[str]:
    """Return the lanes that a step has, those too that its action always has and the document left out."""
    action = registry.get(step.action)
    declared = (action.lanes or ()) if action else ()
    return [*step.lanes, *(name for name in declared if name not in step.lanes)]


def held_by(step: StepDefinition) -> Iterator[StepDefinition]:
    """Yield all steps that a step holds."""
    for lane in step.lanes.values():
        for inner in lane:
            yield inner
            yield from held_by(inner)


def after_words(step: StepDefinition) -> str:
    """Return what stands beside the place behind a step that holds lanes."""
    if not lane_names(step):
        return ""
    if step.action == AGENT:
        return _("after the agent")
    return _("after the loop") if step.action == LOOP else _("after all lanes")


def input_schema(action: Action | None) -> Mapping[str, Any]:
    """Return the schema of an action's inputs, or of a step whose action is not registered."""
    return input_schema_of(action) if action else translated(UNREGISTERED)


def fingerprint(step: StepDefinition) -> str:
    """Return what tells two states of a step apart; what its lanes hold is not of it."""
    # json escapes half a surrogate pair, which pydantic's own JSON refuses.
    text = json.dumps(step.model_dump(exclude={"lanes"}), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
