"""The draft of a workflow as rows of a form, and back to the document that services take."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final

from django import forms
from django.core.exceptions import ValidationError
from django.forms.models import BaseInlineFormSet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from integrations.registry import registry
from integrations.words import declared
from orchestrator.errors import Invalid, Problem
from orchestrator.flow.names import TriggerType
from orchestrator.tenants.admin_base import ServiceForm, TenantField
from orchestrator.tenants.admin_forms import GroupedSelect, JSONField, JSONObjectField
from orchestrator.tenants.models import Tenant
from orchestrator.vault.models import Credential
from orchestrator.workflows.models import Step, Trigger, Workflow
from orchestrator.workflows.secret_inputs import kept_config

if TYPE_CHECKING:
    _FormSet = BaseInlineFormSet[Any, Any, Any]
else:
    _FormSet = BaseInlineFormSet

# In a choice's value: a credential's name that no credential has (yet).
_MISSING: Final = "name:"


class WorkflowForm(ServiceForm):
    """What of a workflow is not in its steps or triggers."""

    tenant = TenantField(label=gettext_lazy("Tenant"))
    name = forms.CharField(label=gettext_lazy("Name"), max_length=200)
    slug = forms.CharField(
        label=gettext_lazy("Slug"), max_length=63, required=False, help_text=gettext_lazy("Empty: made from the name.")
    )
    description = forms.CharField(
        label=gettext_lazy("Description"),
        required=False,
        max_length=10_000,
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    settings = JSONObjectField(
        label=gettext_lazy("Settings"),
        rows=2,
        help_text=gettext_lazy('Like {"timeout": 3600, "max_concurrent_runs": 1}.'),
    )
    output = JSONField(
        label=gettext_lazy("Output"),
        rows=2,
        help_text=gettext_lazy("What a run answers, as JSON with expressions."),
    )
    seen_revision = forms.IntegerField(required=False, min_value=0, max_value=2**31, widget=forms.HiddenInput)

    class Meta:
        model = Workflow
        fields = ()

    def initial_of(self, instance: Any) -> dict[str, Any]:
        return {**super().initial_of(instance), "seen_revision": instance.revision}


@dataclass(frozen=True, kw_only=True)
class CredentialChoice:
    """A credential that a step can be given; ``name`` is what the document says."""

    tenant_id: int
    name: str
    label: str


def credential_choices(tenants: Sequence[Tenant]) -> dict[str, CredentialChoice]:
    """Return the credentials of these tenants by id; with several, their labels name the tenant."""
    rows = Credential.unscoped.filter(tenant__in=tenants).order_by("tenant__name", "name")
    several = len(tenants) > 1
    found = rows.values_list("pk", "tenant_id", "tenant__name", "name", "provider")
    return {
        str(pk): CredentialChoice(
            tenant_id=tenant_id,
            name=name,
            label=f"{tenant}: {name} ({provider})" if several else f"{name} ({provider})",
        )
        for pk, tenant_id, tenant, name, provider in found
    }


def action_groups() -> list[tuple[str, list[tuple[str, str]]]]:
    """Return every registered action by its provider, for a select."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for action in registry.actions():
        provider = declared(action.provider.name)
        groups.setdefault(provider, []).append((action.key, f"{provider}: {declared(action.name)}"))
    return sorted(groups.items(), key=lambda group: group[0].lower())


class _RowForm(ServiceForm):
    """A row of the draft."""

    key = forms.CharField(label=gettext_lazy("Key"), max_length=63)

    def clean(self) -> dict[str, Any] | None:
        # What a service refuses is told by the workflow's own form, once.
        return self.cleaned_data


class StepForm(_RowForm):
    name = forms.CharField(label=gettext_lazy("Name"), max_length=200, required=False)
    order = forms.FloatField(
        label=gettext_lazy("Order"),
        required=False,
        widget=forms.NumberInput(attrs={"step": "any"}),
        help_text=gettext_lazy("Within its lane; 2.5 goes between 2 and 3, empty is last."),
    )
    inside = forms.CharField(
        label=gettext_lazy("Inside"),
        required=False,
        max_length=130,
        help_text=gettext_lazy("Step and lane that hold it, like check.then; empty: none."),
    )
    action = forms.CharField(label=gettext_lazy("Action"), required=False, max_length=128)
    other_action = forms.CharField(
        label=gettext_lazy("Or another key"),
        required=False,
        max_length=128,
        help_text=gettext_lazy("One that is not installed here, like acme.doThing."),
    )
    credential = forms.CharField(label=gettext_lazy("Credential"), required=False, max_length=130)
    config = JSONObjectField(
        label=gettext_lazy("Config"),
        rows=5,
        help_text=gettext_lazy('Like {"inputs": {"text": "{{ trigger.body.name }}"}, "timeout": 30}.'),
    )
    notes = forms.CharField(
        label=gettext_lazy("Notes"), required=False, max_length=10_000, widget=forms.Textarea(attrs={"rows": 1})
    )

    class Meta:
        model = Step
        fields = ()

    def __init__(self, *args: Any, credentials: Mapping[str, CredentialChoice], actions: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.credentials = credentials
        self.fields["action"].widget = GroupedSelect(actions, blank="—", unknown=_("(not installed here)"))
        choices = [(key, choice.label) for key, choice in credentials.items()]
        missing = str(self.initial.get("credential") or "")
        if missing.startswith(_MISSING):
            choices.append((missing, _("%(name)s (missing)") % {"name": missing.removeprefix(_MISSING)}))
        self.fields["credential"].widget = forms.Select(choices=[("", "—"), *choices])
        self._known = {key for key, _label in choices}

    def initial_of(self, instance: Any) -> dict[str, Any]:
        missing = _MISSING + instance.credential_name if instance.credential_name else ""
        return {
            "key": instance.key,
            "name": instance.name,
            "action": instance.action,
            "credential": str(instance.credential_id) if instance.credential_id else missing,
            "config": kept_config(instance.action, instance.config),
            "notes": instance.notes,
            "order": instance.position + 1,
            "inside": f"{instance.parent.key}.{instance.lane}" if instance.parent else "",
        }

    def clean_credential(self) -> str:
        chosen = str(self.cleaned_data["credential"])
        if chosen and chosen not in self._known:
            raise ValidationError(_("Choose one of the tenant's credentials."))
        return chosen

    def clean(self) -> dict[str, Any] | None:
        values = self.cleaned_data
        values["action"] = values.get("other_action") or values.get("action") or ""
        if not values["action"] and not values.get("DELETE"):
            self.add_error("action", _("Choose an action, or write another key."))
        return values

    def credential_name(self, tenant: Tenant) -> str | None:
        """Return the chosen credential's name. Raises Invalid for one of another tenant than the workflow's."""
        chosen = str(self.cleaned_data["credential"])
        if not chosen or chosen.startswith(_MISSING):
            return chosen.removeprefix(_MISSING) or None
        found = self.credentials[chosen]
        if found.tenant_id != tenant.pk:
            message = _("The credential of step %(key)s belongs to another tenant.") % {"key": self.cleaned_data["key"]}
            raise Invalid(message, problems=[Problem(path="tenant", message=message, code="other_tenant")])
        return found.name


class TriggerForm(_RowForm):
    type = forms.ChoiceField(
        label=gettext_lazy("Type"), choices=[("", "—"), *((t.value, t.value) for t in TriggerType)]
    )
    config = JSONObjectField(label=gettext_lazy("Config"), rows=2)

    class Meta:
        model = Trigger
        fields = ()


class RowFormSet(_FormSet):
    """Rows that are read back as a whole; their ids serve to find the row alone."""

    def add_fields(self, form: Any, index: int | None) -> None:
        super().add_fields(form, index)
        # Django's own looks each id up among every tenant's rows.
        pk = "" if form.instance._state.adding else str(form.instance.pk)
        form.fields["id"] = forms.CharField(required=False, initial=pk, widget=forms.HiddenInput)

    def removed(self, form: Any) -> bool:
        """Whether a row is marked to be deleted."""
        return bool(form.cleaned_data.get("DELETE"))

    def kept(self) -> Iterator[Any]:
        """Yield the forms of the rows that stay or are new, in order."""
        for form in self.forms:
            if (form in self.initial_forms or form.has_changed()) and not self.removed(form):
                yield form

    def validate_unique(self) -> None:
        seen: set[str] = set()
        for form in self.kept():
            key = form.cleaned_data.get("key", "")
            if key in seen:
                form.add_error("key", _("Another one has this key."))
            seen.add(key)


class StepFormSet(RowFormSet):
    """A draft's steps, in the order of the document."""

    credentials: ClassVar[Mapping[str, CredentialChoice]] = {}
    actions: ClassVar[Any] = ()
    _ordered: list[Step] | None = None

    def get_form_kwargs(self, index: int | None) -> dict[str, Any]:
        return {**super().get_form_kwargs(index), "credentials": self.credentials, "actions": self.actions}

    def get_queryset(self) -> Any:
        if self._ordered is None:
            rows = list(super().get_queryset().select_related("parent").order_by("position", "id"))
            self._ordered = list(_in_order(rows))
        return self._ordered


def _in_order(rows: Sequence[Step], parent: int | None = None) -> Iterator[Step]:
    """Yield rows as the document has them: each before what its lanes hold."""
    held = [row for row in rows if row.parent_id == parent]
    if parent is not None:
        lanes = next(row.lanes for row in rows if row.pk == parent)
        held.sort(key=lambda row: lanes.index(row.lane) if row.lane in lanes else len(lanes))
    for row in held:
        yield row
        yield from _in_order(rows, row.pk)


@dataclass(kw_only=True)
class _Node:
    """A step on its way into the document."""

    form: StepForm
    lanes: dict[str, list[_Node]] = field(default_factory=dict)


def steps_document(formset: StepFormSet, tenant: Tenant) -> list[dict[str, Any]]:
    """Return the rows as the document's steps; what a removed step holds goes with it.

    Raises Invalid for a row inside of what is no step, or of itself.
    """
    nodes = {form.cleaned_data["key"]: _Node(form=form, lanes=_lanes_of(form)) for form in formset.kept()}
    # A step that got another key holds on to what names its old one.
    renamed = {
        node.form.instance.key: key
        for key, node in nodes.items()
        if not node.form.instance._state.adding and node.form.instance.key not in nodes
    }
    gone = {form.instance.key for form in formset.initial_forms if formset.removed(form)} - nodes.keys()
    top: list[_Node] = []
    left: set[str] = set()
    for key, node in sorted(nodes.items(), key=lambda item: _order(item[1].form)):
        holder, _dot, lane = node.form.cleaned_data["inside"].strip().partition(".")
        holder = renamed.get(holder, holder)
        if not holder:
            top.append(node)
        elif holder in nodes and lane:
            nodes[holder].lanes.setdefault(lane, []).append(node)
        elif holder in gone:
            left.add(key)
        else:
            raise _misplaced(key)
    document = [_step(node, tenant) for node in top]
    written = set(_keys(top))
    lost = nodes.keys() - written - left
    dropped = {key for start in left for key in _keys([nodes[start]])}
    if lost - dropped:
        raise _misplaced(min(lost - dropped))
    return document


def _keys(nodes: Sequence[_Node]) -> Iterator[str]:
    for node in nodes:
        yield node.form.cleaned_data["key"]
        for held in node.lanes.values():
            yield from _keys(held)


def _order(form: StepForm) -> float:
    given = form.cleaned_data.get("order")
    return math.inf if given is None else float(given)


def _lanes_of(form: StepForm) -> dict[str, list[_Node]]:
    """Return the lanes a step has from the start: those it had, or those its action always has."""
    same = not form.instance._state.adding and form.instance.action == form.cleaned_data["action"]
    declared = registry.get(form.cleaned_data["action"])
    names = form.instance.lanes if same else (declared.lanes or ()) if declared else ()
    return {name: [] for name in names}


def _step(node: _Node, tenant: Tenant) -> dict[str, Any]:
    values = node.form.cleaned_data
    return {
        "key": values["key"],
        "name": values["name"],
        "action": values["action"],
        "credential": node.form.credential_name(tenant),
        "config": values["config"],
        "notes": values["notes"],
        "lanes": {lane: [_step(held, tenant) for held in nodes] for lane, nodes in node.lanes.items()},
    }


def _misplaced(key: str) -> Invalid:
    message = _("“Inside” of step %(key)s names no step and lane of this workflow, like check.then.") % {"key": key}
    return Invalid(message, problems=[Problem(path=f"steps.{key}", message=message, code="inside")])


def triggers_document(formset: RowFormSet) -> list[dict[str, Any]]:
    """Return the rows as the document's triggers."""
    rows = (form.cleaned_data for form in formset.kept())
    return [{"key": row["key"], "type": row["type"], "config": row["config"]} for row in rows]
