"""What the builder's page shows: the outline of steps, the form of one of them, and the data that it can use."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, Final
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop

from integrations.registry import registry
from integrations.sdk import Action
from orchestrator.builder import reads, step_form
from orchestrator.builder.changes import step_title
from orchestrator.builder.data import LARGEST, place_of
from orchestrator.builder.panels import (
    Card,
    CredentialChoice,
    Finding,
    Lane,
    LanePanel,
    LaneRow,
    Result,
    StepPanel,
    TriggerCard,
    TriggerPanel,
)
from orchestrator.builder.publish import draft_changes, field_name_of, step_path_of
from orchestrator.builder.rule import rule_texts, rule_words
from orchestrator.builder.step_facts import action_words, after_words, fingerprint, held_by, input_schema, lane_names
from orchestrator.errors import NotFound, Problem
from orchestrator.flow.control import unused_options
from orchestrator.flow.definition import StepDefinition, WorkflowDefinition
from orchestrator.tenants.access import Actor
from orchestrator.tenants.models import Role, Tenant
from orchestrator.types import JSONValue
from orchestrator.vault.models import Credential
from orchestrator.vault.selectors import credential_list
from orchestrator.words import duration
from orchestrator.workflows import history, services
from orchestrator.workflows.edits import DEFAULT_LANE, SWITCH
from orchestrator.workflows.models import Trigger, Workflow
from orchestrator.workflows.selectors import draft_definition, trigger_document
from runs import selectors
from runs.models import StepRun
from runs.outline import lane_words, sample_paths, tree
from runs.pages.words import RESOLVED_WORDS, again_words
from runs.states import StepStatus

BACKOFFS: Final = ("exponential", "linear", "fixed")
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
LOG_LINES: Final = 200
_TRIGGERS: Final[Mapping[str, tuple[str, str]]] = {
    "webhook": (noop("When a request arrives"), noop("Webhook")),
    "manual": (noop("When somebody presses Run"), noop("By hand")),
    "schedule": (noop("At set times"), noop("Schedule")),
    "form": (noop("When a form is sent"), noop("Form")),
    "polling": (noop("When something new appears"), noop("Polling")),
    "error": (noop("When a run fails"), noop("Error")),
    "workflow": (noop("When another workflow calls it"), noop("Workflow")),
}


class Board:
    """One workflow's draft, read once, from which the page's parts are made."""

    def __init__(self, request: HttpRequest, actor: Actor, workflow: Workflow) -> None:
        self.request, self.actor, self.workflow = request, actor, workflow
        self.tenant: Tenant = actor.tenant
        self.definition: WorkflowDefinition = draft_definition(workflow)
        self.steps = dict(self.definition.walk())
        self.by_key = {step.key: step for step in self.steps.values()}
        self.numbers = {step.key: number for number, step in enumerate(self.steps.values(), self._first_number)}

    @property
    def _first_number(self) -> int:
        return max(1, len(self.definition.triggers)) + 1

    @cached_property
    def problems(self) -> list[Problem]:
        return services.check(self.workflow)

    @cached_property
    def attempts(self) -> dict[str, StepRun]:
        return selectors.last_attempts(self.workflow, paths=self.sample_paths)

    @cached_property
    def samples(self) -> tuple[dict[str, JSONValue] | None, dict[str, dict[str, JSONValue]]]:
        """Return the last trigger, and each step's last success by its key: what expressions are shown with."""
        outputs = selectors.last_outputs(self.workflow, paths=self.sample_paths, largest=LARGEST)
        return selectors.last_trigger(self.workflow), outputs

    @cached_property
    def sample_paths(self) -> list[str]:
        """Return the paths at which runs are looked into for what the steps did of late."""
        return sample_paths(tree({"steps": [step.model_dump(mode="json") for step in self.definition.steps]}))

    @cached_property
    def findings(self) -> dict[str, list[Finding]]:
        """Return the problems of each step, by its key."""
        found: dict[str, list[Finding]] = defaultdict(list)
        for problem in self.problems:
            path = step_path_of(self.steps, problem.path)
            if path is None:
                continue
            step = self.steps[path]
            # The form shows no field for an option that means nothing; an input of the same name is another thing.
            shown = problem.code != "no_effect"
            name = field_name_of(problem.path.removeprefix(path).lstrip(".")) if shown else ""
            finding = Finding(
                field=name,
                label=self._label(step, name),
                message=problem.message,
                blocks=problem.severity == "error",
            )
            if finding not in found[step.key]:
                found[step.key].append(finding)
        return dict(found)

    def _label(self, step: StepDefinition, name: str) -> str:
        part = input_schema(registry.get(step.action)).get("properties", {}).get(name, {})
        return str(part.get("title") or name.replace("_", " ").capitalize())

    def url(self, name: str, *parts: Any) -> str:
        return reverse(name, args=[self.tenant.slug, self.workflow.pk, *parts])

    def add_url(self, **query: str) -> str:
        return f"{self.url('step-add')}?{urlencode(query)}"

    def header(self) -> dict[str, Any]:
        """Return what the top of the page says."""
        live = self.workflow.published_version
        changes = len(draft_changes(self.workflow, self.definition)) if live else len(self.steps)
        blocking = sum(problem.severity == "error" for problem in self.problems)
        return {
            "live": live,
            "changes": changes,
            "blocking": blocking,
            "may_edit": self.actor.may(Role.EDITOR),
            "reach": history.reach(self.workflow),
        }

    def triggers(self, selected: str) -> list[TriggerCard]:
        return [
            TriggerCard(
                number=number,
                key=trigger.key,
                title=_(_TRIGGERS.get(trigger.type.value, (trigger.key, ""))[0]),
                words=_trigger_words(trigger.type.value, trigger.config),
                tile=trigger.type.value,
                url=self.url("workflow-trigger", trigger.key),
                selected=trigger.key == selected,
            )
            for number, trigger in enumerate(self.definition.triggers, 1)
        ]

    def cards(self, selected: str) -> tuple[Card, ...]:
        return tuple(self._card(step, selected) for step in self.definition.steps)

    def _card(self, step: StepDefinition, selected: str) -> Card:
        status, fact = self.standing(step.key)
        return Card(
            number=self.numbers[step.key],
            key=step.key,
            title=self.title(step),
            words=action_words(step.action),
            tile=step.action,
            url=self.url("workflow-step", step.key),
            add_url=self.add_url(after=step.key),
            status=status,
            fact=fact,
            selected=step.key == selected,
            lanes=tuple(
                Lane(
                    words=lane_words(step.action, name),
                    cards=tuple(self._card(inner, selected) for inner in step.lanes.get(name, ())),
                    add_url=self.add_url(parent=step.key, lane=name),
                )
                for name in lane_names(step)
            ),
            after=after_words(step),
        )

    def title(self, step: StepDefinition) -> str:
        action = registry.get(step.action)
        return step.name or (action.name if action else step_title(step))

    def standing(self, key: str) -> tuple[str, str]:
        """Return how the last test of a step went and one short fact; what is missing comes first."""
        if any(finding.blocks for finding in self.findings.get(key, ())):
            return "attention", _("to fill in")
        attempt = self.attempts.get(key)
        if attempt is None:
            return "not_tested", _("not tested")
        took = selectors.duration_ms(attempt.started_at, attempt.finished_at)
        match attempt.status:
            case StepStatus.SUCCEEDED:
                return "succeeded", duration(took)
            case StepStatus.RUNNING:
                return "running", _("running")
            case StepStatus.WAITING:
                return "waiting", _("waiting")
            case StepStatus.SKIPPED:
                return "skipped", _("skipped")
        return "failed", _("failed")

    def step(
        self,
        key: str,
        *,
        posted: Mapping[str, Any] | None = None,
        errors: Mapping[str, str] | None = None,
        said: str = "",
    ) -> StepPanel:
        """Return the form of a step, as it is stored or as it was ``posted``. Raises NotFound."""
        step = self.by_key.get(key)
        if step is None:
            raise NotFound(_("There is no step %(key)s in this workflow.") % {"key": key[:80]})
        action = registry.get(step.action)
        config = {**step.config.model_dump(mode="json"), **(posted or {}).get("config", {})}
        findings = self.findings.get(key, [])
        told = {finding.field: finding.message for finding in reversed(findings) if finding.field} | dict(errors or {})
        drawn = step_form.fields(
            input_schema(action),
            config["inputs"],
            errors=told,
            texts=(posted or {}).get("texts"),
            as_text=self.request.GET.getlist("text"),
        )
        told_as = reads.reads(self, key)
        drawn = tuple(replace(field, reads=told_as.get(field.name, ())) for field in drawn)
        folded = tuple(each for each in drawn if _is_folded(each))
        unused = unused_options(step.action)
        order = list(self.numbers)
        place = order.index(key)
        credential = (posted or {}).get("credential", step.credential)
        return StepPanel(
            key=key,
            number=self.numbers[key],
            title=self.title(step),
            name=(posted or {}).get("name", step.name),
            words=action_words(step.action),
            action=step.action,
            description=action.description if action else "",
            tile=step.action,
            registered=action is not None,
            takes_credential=bool(action and action.accepted_auth),
            credential_required=bool(action and action.auth_required),
            credentials=self._credentials(action, credential),
            new_credential_url=self._new_credential_url(action, key),
            provider_name=action.provider.name if action else "",
            fields=tuple(each for each in drawn if not _is_folded(each)),
            folded=folded,
            folded_open=any(each.is_filled or each.error for each in folded),
            rule_texts=rule_texts(config) | (posted or {}).get("rule", {}),
            seen=fingerprint(step),
            rule=rule_words(config, unused),
            unused=unused,
            unused_is_set=any(config.get(option) is not None for option in unused),
            notes=(posted or {}).get("notes", step.notes),
            problems=tuple(findings),
            sends=bool(action and action.effect in ("create", "update", "delete")),
            result=self.result(key),
            lanes=self._lane_panel(step),
            loop=next((self.title(loop) for loop in reversed(self._loops_around(key))), ""),
            previous_url=self.url("workflow-step", order[place - 1]) if place else "",
            next_url=self.url("workflow-step", order[place + 1]) if place + 1 < len(order) else "",
            error=said,
            told=told,
        )

    def _loops_around(self, key: str) -> tuple[StepDefinition, ...]:
        place = place_of(self.definition.steps, key)
        return place.loops if place else ()

    def _lane_panel(self, step: StepDefinition) -> LanePanel | None:
        """Return the lanes of a step that can be changed: those that people name, and those it should not have."""
        action = registry.get(step.action)
        declared = action.lanes if action else None
        is_free = declared == ()
        names = [name for name in step.lanes if is_free or name not in (declared or ())]
        if not is_free and not names:
            return None
        asks = self.request.GET.get("remove", "")
        counts = {name: sum(1 + len(list(held_by(inner))) for inner in step.lanes[name]) for name in names}
        return LanePanel(
            rows=tuple(
                LaneRow(
                    name=name,
                    words=lane_words(step.action, name),
                    count=counts[name],
                    asks=name == asks and counts[name] > 0,
                )
                for name in names
            ),
            is_free=is_free,
            is_switch=step.action == SWITCH,
            may_add_default=step.action == SWITCH and DEFAULT_LANE not in step.lanes,
        )

    def _credentials(self, action: Action | None, chosen: str | None) -> tuple[CredentialChoice, ...]:
        if action is None or not action.accepted_auth:
            return ()
        rows: list[Credential] = list(credential_list(self.tenant))
        found = [
            CredentialChoice(name=row.name, words=row.name, selected=row.name == chosen)
            for row in rows
            if row.auth_type in action.accepted_auth and (action.any_provider or row.provider == action.provider.key)
        ]
        if chosen and all(choice.name != chosen for choice in found):
            found.append(CredentialChoice(name=chosen, words=_("%s (does not fit)") % chosen, selected=True))
        return tuple(found)

    def _new_credential_url(self, action: Action | None, key: str) -> str:
        query = {"next": self.url("workflow-step", key)}
        if action is not None and not action.any_provider:
            query["provider"] = action.provider.key
        return f"{reverse('credential-new', args=[self.tenant.slug])}?{urlencode(query)}"

    def result(self, key: str) -> Result | None:
        """Return the last attempt of a step in full; None before the first."""
        short = self.attempts.get(key)
        if short is None:
            return None
        row = StepRun.objects.for_tenant(self.tenant).filter(pk=short.pk).first()
        if row is None:
            return None
        error = row.error or {}
        status = str(row.status)
        return Result(
            status=status,
            word=_RESULT_WORDS.get(status, ""),
            took=duration(selectors.duration_ms(row.started_at, row.finished_at)),
            at=row.started_at,
            message=str(error.get("message", "")),
            hint=str(error.get("hint", "")),
            again=again_words(row.error) if row.failure_kind else "",
            resolved=_(RESOLVED_WORDS[row.resolved_as]) if row.resolved_as in RESOLVED_WORDS else "",
            inputs=row.inputs,
            output=row.output,
            is_large=row.output_ref is not None or row.inputs_ref is not None,
            log=tuple(str(line.get("text", "")) for line in (row.logs or [])[-LOG_LINES:]),
            run_url=f"{reverse('run', args=[self.tenant.slug, row.run_id])}?step={key}",
        )

    def trigger(self, key: str, *, error: str = "", sample: str | None = None) -> TriggerPanel:
        """Return the form of a trigger. Raises NotFound."""
        rows = Trigger.objects.for_tenant(self.tenant).filter(workflow=self.workflow, key=key, in_draft=True)
        row = rows.select_related("workflow").first()
        if row is None:
            raise NotFound(_("There is no trigger %(key)s in this workflow.") % {"key": key[:80]})
        path = trigger_document(row, actor=self.actor)["url"]
        chosen = row.config.get("methods") or ["POST"]
        index = next((i for i, each in enumerate(self.definition.triggers) if each.key == key), 0)
        return TriggerPanel(
            key=key,
            type=row.type,
            title=_(_TRIGGERS.get(row.type, (key, ""))[0]),
            words=_trigger_words(row.type, row.config),
            address=self.request.build_absolute_uri(path) if path else "",
            methods=tuple((method, method in chosen) for method in METHODS),
            live=row.live_config is not None and self.workflow.enabled,
            problems=tuple(
                Finding(field="", label="", message=problem.message, blocks=problem.severity == "error")
                for problem in self.problems
                if problem.path.startswith(f"triggers[{index}]")
            ),
            sample=self._sample() if sample is None else sample,
            config=row.config,
            error=error,
        )

    def _sample(self) -> str:
        last = selectors.last_trigger(self.workflow) or {}
        return json.dumps(last.get("body", {}), indent=2, ensure_ascii=False)


_RESULT_WORDS: Final[Mapping[str, str]] = {
    StepStatus.SUCCEEDED: noop("Test passed"),
    StepStatus.FAILED: noop("Test failed"),
    StepStatus.LOST: noop("Interrupted"),
}


def _is_folded(drawn: step_form.Field) -> bool:
    return drawn.advanced and not drawn.required


def _trigger_words(kind: str, config: Mapping[str, JSONValue]) -> str:
    words = _(_TRIGGERS.get(kind, ("", kind))[1])
    methods = config.get("methods")
    return f"{words} · {', '.join(map(str, methods))}" if isinstance(methods, list) and methods else words
