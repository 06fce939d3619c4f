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
from orchestrator.builder import broken, reads, step_form
from orchestrator.builder.agents import agent_of, asking_action, left_to_the_model, takes
from orchestrator.builder.called import called_by, extract_url
from orchestrator.builder.changes import option_label, step_title
from orchestrator.builder.choices import offering
from orchestrator.builder.connect import connect_of
from orchestrator.builder.data import LARGEST, place_of
from orchestrator.builder.panels import (
    CredentialChoice,
    Finding,
    LanePanel,
    LaneRow,
    Mending,
    Start,
    StepPanel,
    TriggerCard,
    told_by_field,
)
from orchestrator.builder.publish import draft_changes, field_name_of, step_path_of
from orchestrator.builder.results import result_of
from orchestrator.builder.rule import rule_texts, rule_words
from orchestrator.builder.secret_fields import choosing
from orchestrator.builder.spoken import action_words, words_of
from orchestrator.builder.step_facts import HTTP_ACTION, comparable, fingerprint, held_by, input_schema
from orchestrator.builder.trigger_panel import trigger_title, trigger_words
from orchestrator.errors import NotFound, Problem
from orchestrator.flow.control import unused_options
from orchestrator.flow.definition import StepDefinition, TriggerDefinition, WorkflowDefinition
from orchestrator.flow.names import TriggerType
from orchestrator.tenants.access import Actor, get_for_tenant_or_404
from orchestrator.tenants.models import Role, Tenant
from orchestrator.types import JSONValue
from orchestrator.vault.faces import face_of
from orchestrator.vault.models import Credential
from orchestrator.vault.operators import needs_credential
from orchestrator.vault.selectors import credential_list
from orchestrator.vault.sharing import may_use, usable
from orchestrator.words import duration
from orchestrator.workflows import history, services
from orchestrator.workflows.lane_edits import DEFAULT_LANE, SWITCH
from orchestrator.workflows.models import Workflow
from orchestrator.workflows.selectors import draft_definition
from runs import samples, selectors
from runs.models import Run, StepRun, TestData
from runs.outline import lane_words, sample_paths, tree
from runs.paths import key_of_path
from runs.states import RunStatus, StepStatus

MAX_COPIED: Final = 8_000
BACKOFFS: Final = ("exponential", "linear", "fixed")


_STARTS: Final = (
    ("http.request", noop("Call an API")),
    ("slack.sendMessage", noop("Send a message")),
    ("gmail.sendEmail", noop("Send an email")),
    ("data.set", noop("Set values")),
    ("flow.if", noop("Branch")),
    ("openai.chatCompletion", noop("Ask AI")),
)


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
        return services.check(self.workflow, actor=self.actor)

    @cached_property
    def credentials(self) -> list[Credential]:
        """Return the credentials that are shared with the actor, without what is sealed."""
        return usable(self.actor, credential_list(self.tenant))

    def unfit(self, name: str) -> str:
        """Return the words of a choice that was made and is not offered, as it does not fit or is not shared."""
        held = credential_list(self.tenant).filter(name=name).first()
        is_unshared = held is not None and not may_use(self.actor, held)
        return (_("%s (not shared with you)") if is_unshared else _("%s (does not fit)")) % name

    @cached_property
    def attempts(self) -> dict[str, StepRun]:
        return samples.last_attempts(self.workflow, paths=self.sample_paths)

    @cached_property
    def chosen(self) -> TestData | None:
        """Return what the draft is built with in place of the latest data: a run that is being mended comes first."""
        stored = samples.data_chosen(self.workflow)
        if self.mended is None or (stored is not None and stored.run_id == self.mended.pk):
            return stored
        return TestData(tenant=self.tenant, workflow=self.workflow, run=self.mended)

    @cached_property
    def mended(self) -> Run | None:
        """Return the run that somebody came from to mend what stopped it: ``run`` in the address or the form."""
        text = self.request.POST.get("run") or self.request.GET.get("run", "")
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            return None
        rows = Run.objects.for_tenant(self.tenant).filter(workflow=self.workflow, pk=int(text))
        found: Run | None = rows.select_related("version").first()
        return found if found is not None and RunStatus(found.status).is_terminal else None

    def mending(self, key: str) -> Mending | None:
        """Return the run that is being mended at a step, if there is one."""
        if self.mended is None:
            return None
        path = str((self.mended.error or {}).get("path") or "")
        return Mending(
            run=self.mended,
            from_path=path if path and key_of_path(path) == key else key,
            url=f"{reverse('run', args=[self.tenant.slug, self.mended.pk])}?{urlencode({'step': path or key})}",
        )

    @cached_property
    def samples(self) -> tuple[dict[str, JSONValue] | None, dict[str, dict[str, JSONValue]]]:
        """Return the last trigger, and each step's last success by its key: what expressions are shown with."""
        outputs = samples.last_outputs(self.workflow, chosen=self.chosen, paths=self.sample_paths, largest=LARGEST)
        return samples.last_trigger(self.workflow, chosen=self.chosen), outputs

    @cached_property
    def sample_paths(self) -> list[str]:
        """Return the paths at which runs are looked into for what the steps did of late."""
        return sample_paths(tree({"steps": [step.model_dump(mode="json") for step in self.definition.steps]}))

    @cached_property
    def others(self) -> dict[str, list[str]]:
        """Return the names of others who edit the draft just now, by the key of the step they touched last."""
        return history.others(self.actor, self.workflow)

    @cached_property
    def findings(self) -> dict[str, list[Finding]]:
        """Return the problems of each step, by its key."""
        found: dict[str, list[Finding]] = defaultdict(list)
        for problem in self.problems:
            path = step_path_of(self.steps, problem.path)
            # That a step is left out is said at its top, with the button that takes it in.
            if path is None or problem.code == "skipped":
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
        return str(part.get("title") or option_label(name))

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
            "name_size": min(max(len(self.workflow.name), 6), 40),
            "changes": changes,
            "blocking": blocking,
            "may_edit": self.actor.may(Role.EDITOR),
            "reach": history.reach(self.workflow),
        }

    @property
    def starts(self) -> tuple[Start, ...]:
        """Return the usual first steps, offered while there is none."""
        if self.steps:
            return ()
        return tuple(Start(action=key, words=_(words)) for key, words in _STARTS if registry.get(key))

    def triggers(self, selected: str) -> list[TriggerCard]:
        return [
            TriggerCard(
                number=number,
                key=trigger.key,
                title=trigger_title(trigger.type.value, trigger.config) or trigger.key,
                words=trigger_words(trigger.type.value, trigger.config),
                tile=_trigger_tile(trigger),
                url=self.url("workflow-trigger", trigger.key),
                selected=trigger.key == selected,
            )
            for number, trigger in enumerate(self.definition.triggers, 1)
        ]

    def title(self, step: StepDefinition) -> str:
        return step_title(step)

    def standing(self, key: str) -> tuple[str, str]:
        """Return how the last test of a step went and one short fact; what is missing comes first."""
        if self.by_key[key].config.skip:
            return "skipped", _("left out")
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
        told, warned = told_by_field(findings)
        told, warned = {**told, **(errors or {})}, warned - (errors or {}).keys()
        drawn = step_form.fields(
            input_schema(action),
            config["inputs"],
            errors=told,
            texts=(posted or {}).get("texts"),
            as_text=self.request.GET.getlist("text"),
            warned=warned,
        )
        told_as = reads.reads(self, key)
        lost = broken.broken(self, key)
        drawn = tuple(
            replace(field, reads=told_as.get(field.name, ()), broken=lost.get(field.name, ())) for field in drawn
        )
        drawn = choosing(self, key, drawn)
        credential = (posted or {}).get("credential", step.credential)
        agent, asking = agent_of(self.definition.steps, key), asking_action(step, action)
        if agent is not None:
            drawn = left_to_the_model(drawn, action)
        choices = self._credentials(asking, credential)
        drawn = offering(self, step, drawn, next((each.pk for each in choices if each.selected), 0))
        unused = unused_options(step.action)
        order = list(self.numbers)
        place = order.index(key)
        return StepPanel(
            key=key,
            number=self.numbers[key],
            title=self.title(step),
            name=(posted or {}).get("name", step.name),
            words=action_words(step.action),
            action=step.action,
            description=words_of(action).description if action else "",
            tile=step.action,
            registered=action is not None,
            takes_credential=bool(asking and asking.accepted_auth),
            credential_required=bool(asking and needs_credential(asking)),
            credentials=choices,
            new_credential_url=self._new_credential_url(asking, key),
            connect=connect_of(self, asking, key, credential),
            provider_name=words_of(action).provider if action else "",
            fields=tuple(each for each in drawn if not _is_folded(each)),
            folded=tuple(each for each in drawn if _is_folded(each)),
            rule_texts=rule_texts(config) | (posted or {}).get("rule", {}),
            seen=fingerprint(step),
            rule=rule_words(config, unused),
            unused=unused,
            unused_is_set=any(config.get(option) is not None for option in unused),
            skips=step.config.skip,
            copied=_copied(step),
            mending=self.mending(key),
            notes=(posted or {}).get("notes", step.notes),
            problems=tuple(findings),
            sends=bool(action and action.effect in ("create", "update", "delete")),
            result=result_of(self, key, wanted=self.request.GET.get("show", "")),
            lanes=self._lane_panel(step),
            called=called_by(self, step),
            extract_url=extract_url(self, step) if any(step.lanes.values()) else "",
            describes_url=self.url("workflow-step-openapi", key) if step.action == HTTP_ACTION else "",
            compare_url=self.url("workflow-step-compare", key) if action and comparable(action) and not agent else "",
            tool_of=self.title(agent) if agent else "",
            loop=next((self.title(loop) for loop in reversed(self._loops_around(key))), ""),
            previous_url=self.url("workflow-step", order[place - 1]) if place else "",
            next_url=self.url("workflow-step", order[place + 1]) if place + 1 < len(order) else "",
            error=said,
            told=told,
            warned=warned,
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
                    extract_url=extract_url(self, step, name) if counts[name] else "",
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
        found = [
            CredentialChoice(name=row.name, words=row.name, selected=row.name == chosen, health=face_of(row), pk=row.pk)
            for row in self.credentials
            if row.auth_type in action.accepted_auth and takes(action, row.provider)
        ]
        if chosen and all(choice.name != chosen for choice in found):
            found.append(CredentialChoice(name=chosen, words=self.unfit(chosen), selected=True))
        return tuple(found)

    def _new_credential_url(self, action: Action | None, key: str) -> str:
        query = {"next": self.url("workflow-step", key)}
        if action is not None and not action.any_provider:
            query["provider"] = action.provider.key
        return f"{reverse('credential-new', args=[self.tenant.slug])}?{urlencode(query)}"


def _trigger_tile(trigger: TriggerDefinition) -> str:
    """Return what the square of a trigger shows: of an app's own event the app."""
    key = str(trigger.config.get("trigger") or "")
    return (
        key
        if trigger.type in (TriggerType.POLLING, TriggerType.EVENT) and registry.trigger(key)
        else trigger.type.value
    )


def board_of(request: HttpRequest, actor: Actor, pk: int) -> Board:
    """Return the draft of a workflow of the actor's tenant. Raises NotFound."""
    return Board(request, actor, get_for_tenant_or_404(Workflow, actor.tenant, pk=pk))


def _copied(step: StepDefinition) -> str:
    """Return a step as JSON to copy, nothing where it is too long for a page to carry along."""
    text = json.dumps(step.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False)
    return text if len(text) <= MAX_COPIED else ""


def _is_folded(drawn: step_form.Field) -> bool:
    return drawn.advanced and not drawn.required
