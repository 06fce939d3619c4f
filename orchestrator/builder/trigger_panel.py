"""The panel of a trigger: its address, its methods, what it got of late and the sample that can be sent."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop
from django.utils.translation import ngettext

from integrations.registry import registry
from orchestrator.builder.entrance_form import KINDS as ENTRANCES
from orchestrator.builder.entrance_form import entrance_form
from orchestrator.builder.entrance_form import sentence as entrance_sentence
from orchestrator.builder.form_form import form_form
from orchestrator.builder.listening import as_curl, listening
from orchestrator.builder.panels import Finding, TriggerPanel, told_by_field
from orchestrator.builder.polling_form import polled, polling_form
from orchestrator.builder.polling_form import sentence as polling_sentence
from orchestrator.builder.schedule_form import schedule_form, sentence
from orchestrator.builder.spoken import words_of
from orchestrator.builder.subscribed import subscribed
from orchestrator.builder.webhook_form import webhook_form
from orchestrator.errors import NotFound, Problem
from orchestrator.flow.names import TriggerType
from orchestrator.types import JSONValue
from orchestrator.workflows.models import Trigger
from orchestrator.workflows.selectors import trigger_document
from runs import samples

if TYPE_CHECKING:
    from django.http import QueryDict

    from orchestrator.builder.board import Board

TRIGGER_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "webhook": (noop("When a request arrives"), noop("Webhook")),
    "manual": (noop("When somebody presses Run"), noop("By hand")),
    "schedule": (noop("At set times"), noop("Schedule")),
    "form": (noop("When a form is sent"), noop("Form")),
    "polling": (noop("When something new appears"), noop("App change")),
    "event": (noop("When something happens in an app"), noop("App event")),
    "error": (noop("When a run fails"), noop("Error")),
    "workflow": (noop("When another workflow calls it"), noop("Workflow")),
}
# Of which an integration says what is looked for.
APP: Final = (TriggerType.POLLING.value, TriggerType.EVENT.value)
# With what a first request can be made before there was one.
_SAMPLE: Final = {"name": "Ada Fox", "email": "ada@example.com", "plan": "trial"}


def trigger_panel(
    board: Board,
    key: str,
    *,
    error: str = "",
    sample: str | None = None,
    posted: QueryDict | None = None,
    errors: Mapping[str, str] = MappingProxyType({}),
    config: Mapping[str, Any] | None = None,
    texts: Mapping[str, str] = MappingProxyType({}),
) -> TriggerPanel:
    """Return the form of a trigger; of what was ``posted`` with what is wrong with it. Raises NotFound.

    Of an integration's that is ``config``, and ``texts`` what could not be read.
    """
    rows = Trigger.objects.for_tenant(board.tenant).filter(workflow=board.workflow, key=key, in_draft=True)
    row = rows.select_related("workflow").first()
    if row is None:
        raise NotFound(_("There is no trigger %(key)s in this workflow.") % {"key": key[:80]})
    path = trigger_document(row, actor=board.actor)["url"]
    methods = row.config.get("methods")
    method = str(methods[0]) if isinstance(methods, list) and methods else "POST"
    index = next((i for i, each in enumerate(board.definition.triggers) if each.key == key), 0)
    shown = _sample(board, row) if sample is None else sample
    findings = [problem for problem in board.problems if problem.path.startswith(f"triggers[{index}]")]
    is_polled, is_called = row.type == TriggerType.POLLING.value, row.type == TriggerType.EVENT.value
    told, warned = _told(findings if row.type in APP else (), f"triggers[{index}].config.")
    address = board.request.build_absolute_uri(path) if path else ""
    return TriggerPanel(
        key=key,
        type=row.type,
        title=trigger_title(row.type, row.config) or key,
        words=trigger_words(row.type, row.config),
        address=address,
        form=webhook_form(board, key, row.config, posted=posted, errors=errors)
        if row.type == TriggerType.WEBHOOK.value
        else None,
        schedule=schedule_form(row.config, offset=row.pk, posted=posted, errors=errors)
        if row.type == TriggerType.SCHEDULE.value
        else None,
        made=form_form(row.config, posted=posted, errors=errors) if row.type == TriggerType.FORM.value else None,
        polling=polling_form(
            board,
            key,
            row.config if config is None else config,
            told={**told, **errors},
            warned=warned - errors.keys(),
            texts=texts,
        )
        if row.type in APP
        else None,
        polled=polled(row) if is_polled else None,
        subscribed=subscribed(board, row) if is_called else None,
        entrance=entrance_form(board, row.type, row.config, posted=posted, errors=errors)
        if row.type in ENTRANCES
        else None,
        gap=_gap(row.state.get("last_gap")),
        invalid=next(iter(errors.items()), ("", "")),
        live=row.live_config is not None and board.workflow.enabled,
        problems=tuple(
            Finding(field="", label="", message=problem.message, blocks=problem.severity == "error")
            for problem in findings
            if _field(problem.path, f"triggers[{index}].config.") not in told and problem.code != "trigger_missing"
        ),
        sample=shown,
        curl=as_curl(address, method, shown) if address else "",
        config=row.config,
        listening=listening(board, row),
        error=error,
    )


def _told(findings: Sequence[Problem], prefix: str) -> tuple[dict[str, str], frozenset[str]]:
    """Return what is said at the fields of an integration's trigger, as ``told_by_field`` does."""
    of_fields = ((problem, _field(problem.path, prefix)) for problem in findings)
    return told_by_field(
        [
            Finding(field=name, label="", message=problem.message, blocks=problem.severity == "error")
            for problem, name in of_fields
            if name != "trigger"
        ]
    )


def _field(path: str, prefix: str) -> str:
    """Return the field that a problem is told at: ``url`` for ``triggers[0].config.inputs.url``."""
    if not path.startswith(prefix):
        return ""
    return re.split(r"[.\[]", path.removeprefix(prefix).removeprefix("inputs."))[0]


def _gap(noted: JSONValue) -> str:
    """Return what became of slots that did not run, of a schedule's last gap."""
    if not isinstance(noted, Mapping):
        return ""
    missed, left_out = (count if isinstance(count := noted.get(name), int) else 0 for name in ("missed", "left_out"))
    parts = [
        ngettext(
            "%(count)d time was missed while nothing ran.", "%(count)d times were missed while nothing ran.", missed
        )
        % {"count": missed}
        if missed
        else "",
        ngettext(
            "%(count)d time was left out: the run before was still going.",
            "%(count)d times were left out: the run before was still going.",
            left_out,
        )
        % {"count": left_out}
        if left_out
        else "",
    ]
    return " ".join(part for part in parts if part)


def _sample(board: Board, row: Trigger) -> str:
    last = samples.last_trigger(board.workflow, chosen=board.chosen)
    declared = registry.trigger(str(row.config.get("trigger"))) if row.type in APP else None
    first = _SAMPLE if declared is None or declared.sample is None else declared.sample
    return json.dumps(last.get("body", {}) if last else first, indent=2, ensure_ascii=False)


def trigger_title(kind: str, config: Mapping[str, JSONValue]) -> str:
    """Return when a trigger of a type starts the workflow; of an app's own it is the app that says."""
    declared = registry.trigger(str(config.get("trigger"))) if kind in APP else None
    return words_of(declared).name if declared else _(TRIGGER_WORDS.get(kind, ("", ""))[0])


def trigger_words(kind: str, config: Mapping[str, JSONValue]) -> str:
    words = _(TRIGGER_WORDS.get(kind, ("", kind))[1])
    if kind == TriggerType.SCHEDULE.value:
        return f"{words} · {sentence(config)}"
    if kind in APP:
        return polling_sentence(config)
    if kind in ENTRANCES:
        return entrance_sentence(kind, config)
    methods = config.get("methods")
    return f"{words} · {', '.join(map(str, methods))}" if isinstance(methods, list) and methods else words
