"""Workflows in the admin, with their steps and triggers; versions to look at.

Runs are above workflows: what starts one is put onto ``WorkflowAdmin`` by ``runs.admin``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.db import models
from django.db.models import Count
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orchestrator.flow.definition import MAX_STEPS
from orchestrator.tenants.access import Actor
from orchestrator.tenants.admin_base import (
    Button,
    Done,
    ReadOnlyMixin,
    ScopedAdmin,
    ScopedMixin,
    TenantFilter,
    as_id,
    reach_of,
    site,
)
from orchestrator.tenants.admin_forms import pre
from orchestrator.workflows import services
from orchestrator.workflows.admin_forms import (
    RowFormSet,
    StepForm,
    StepFormSet,
    TriggerForm,
    WorkflowForm,
    action_groups,
    credential_choices,
    steps_document,
    triggers_document,
)
from orchestrator.workflows.models import Step, Trigger, Workflow, WorkflowVersion
from orchestrator.workflows.secret_inputs import kept_document
from orchestrator.workflows.selectors import auto_return_document

if TYPE_CHECKING:
    _Stacked = admin.StackedInline[Any, Any]
else:
    _Stacked = admin.StackedInline

# Each step has a dozen fields, and a form at most 2,000: longer drafts are changed in the builder.
MAX_STEPS_HERE = 120
_EDITED = {"view": "workflow.read", "add": "workflow.edit", "change": "workflow.edit", "delete": "workflow.delete"}


class _RowInline(ScopedMixin):
    operations = _EDITED
    extra = 1
    max_num: int | None = MAX_STEPS

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        # As many forms are made as a request says that it has: never more than a draft has rows.
        made: Any = super().get_formset(request, obj, absolute_max=MAX_STEPS, **kwargs)  # type: ignore[misc]
        made.form = type(made.form.__name__, (made.form,), {"request": request})
        return made


class StepInline(_RowInline, _Stacked):
    """The draft's steps, in the order of the document."""

    model = Step
    form = StepForm
    formset = StepFormSet
    fk_name = "workflow"
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("key", "name"),
                    ("order", "inside"),
                    ("action", "other_action"),
                    "credential",
                    "config",
                    "notes",
                )
            },
        ),
    )

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        made = super().get_formset(request, obj, **kwargs)
        tenants = list(reach_of(request).tenants("workflow.edit")[:50]) if obj is None else [obj.tenant]
        made.credentials, made.actions = credential_choices(tenants), action_groups()
        return made

    def _allowed(self, request: HttpRequest, what: str, obj: Any) -> bool:
        if what != "view" and isinstance(obj, Workflow) and _step_count(obj) > MAX_STEPS_HERE:
            return False
        return super()._allowed(request, what, obj)


def _step_count(workflow: Workflow) -> int:
    known: int | None = workflow.__dict__.get("_admin_step_count")
    if known is None:
        known = workflow.__dict__["_admin_step_count"] = workflow.steps.count()
    return known


class TriggerInline(_RowInline, _Stacked):
    """The draft's triggers; what is live changes with the next publish."""

    model = Trigger
    form = TriggerForm
    formset = RowFormSet
    fk_name = "workflow"
    fields = (("key", "type"), "config")

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        return super().get_queryset(request).filter(in_draft=True)


def _publish(actor: Actor, workflow: Any) -> Done:
    result = services.publish(actor=actor, workflow=workflow)
    words = _("Published as version %(number)d.") % {"number": result.version.number}
    return Done(message=" ".join([words, *(f"{w.path}: {w.message}" for w in result.warnings)]))


def _switch(enabled: bool) -> Any:
    def act(actor: Actor, workflow: Any) -> Done:
        services.workflow_set_enabled(actor=actor, workflow=workflow, enabled=enabled)
        return Done(message=_("Its triggers start runs now.") if enabled else _("Its triggers start no runs any more."))

    return act


@admin.register(Workflow, site=site)
class WorkflowAdmin(ScopedAdmin):
    """A workflow with its draft; saving changes the draft alone, publishing lets it run."""

    form = WorkflowForm
    operations = _EDITED
    inlines = (StepInline, TriggerInline)
    buttons: ClassVar[tuple[Button, ...]] = (
        Button(name="publish", label=gettext_lazy("Publish"), operation="workflow.publish", act=_publish),
        Button(
            name="enable",
            label=gettext_lazy("Switch on"),
            operation="workflow.switch",
            act=_switch(True),
            shown=lambda workflow: workflow.published_version_id is not None and not workflow.enabled,
        ),
        Button(
            name="disable",
            label=gettext_lazy("Switch off"),
            operation="workflow.switch",
            act=_switch(False),
            shown=lambda workflow: workflow.enabled,
        ),
    )
    list_display = ("name", "slug", "tenant", "published", "enabled", "step_count", "updated_at")
    list_filter = (TenantFilter, "enabled")
    search_fields = ("name", "slug")
    _facts = ("published", "enabled", "revision", "updated_at")

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        rows = super().get_queryset(request).select_related("tenant", "published_version")
        return rows.defer("published_version__definition", "published_version__bindings")

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changes = super().get_changelist_instance(request)
        counts = dict(
            Step.unscoped.filter(workflow__in=[row.pk for row in changes.result_list])
            .order_by()
            .values_list("workflow")
            .annotate(Count("pk"))
        )
        for row in changes.result_list:
            row.__dict__["_admin_step_count"] = counts.get(row.pk, 0)
        return changes

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("tenant", *self._facts) if obj else ()

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        draft = ("tenant", ("name", "slug"), "description", "settings", "output", "seen_revision")
        if obj is None:
            return [(None, {"fields": draft[:-1]})]
        return [(None, {"fields": draft}), (_("State"), {"fields": (self._facts,)})]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        left_out = "seen_revision" if obj is None else "tenant"
        form.base_fields = {name: field for name, field in form.base_fields.items() if name != left_out}
        return form

    @admin.display(description=gettext_lazy("Published"), ordering="published_version__number")
    def published(self, obj: Workflow) -> str:
        return f"v{obj.published_version.number}" if obj.published_version else "—"

    @admin.display(description=gettext_lazy("Steps"))
    def step_count(self, obj: Workflow) -> int:
        return _step_count(obj)

    def links(self, obj: Any) -> Sequence[tuple[str, str]]:
        versions = f"{reverse('admin:workflows_workflowversion_changelist')}?workflow={obj.pk}"
        return [
            (_("Open in the builder"), reverse("workflow", args=[obj.tenant.slug, obj.pk])),
            (_("Versions"), versions),
        ]

    def write(self, actor: Actor, form: Any, formsets: list[Any], change: bool) -> models.Model:
        values = form.cleaned_data
        given = {name: values[name] for name in ("name", "slug", "description", "settings", "output")}
        changes = {name: value for name, value in given.items() if name in form.changed_data}
        if change and "slug" in changes and not changes["slug"]:
            del changes["slug"]
        for formset in formsets:
            if isinstance(formset, StepFormSet) and formset.has_changed():
                changes["steps"] = steps_document(formset, actor.tenant)
            elif formset.has_changed():
                changes["triggers"] = triggers_document(formset)
        if not change:
            return services.workflow_create(actor=actor, document={"name": values["name"], **changes})
        if not changes:
            found: Workflow = form.instance
            return found
        return services.workflow_patch(
            actor=actor, workflow=form.instance, changes=changes, if_match=values["seen_revision"]
        )

    def remove(self, request: HttpRequest, actor: Actor, obj: Any) -> None:
        services.workflow_delete(actor=actor, workflow=obj)


class WorkflowFilter(admin.SimpleListFilter):
    """Narrows a list to one workflow, which a link names: a list of all would be long."""

    title = gettext_lazy("workflow")
    parameter_name = "workflow"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        rows, reach = Workflow.unscoped.order_by("name"), reach_of(request)
        rows = rows if reach.everywhere else rows.filter(tenant_id__in=reach.ids("workflow.read"))
        return [(str(pk), name) for pk, name in rows.values_list("pk", "name")[:100]]

    def queryset(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> models.QuerySet[Any]:
        value = as_id(self.value())
        return queryset if value is None else queryset.filter(workflow_id=value)


@admin.register(WorkflowVersion, site=site)
class WorkflowVersionAdmin(ReadOnlyMixin, ScopedAdmin):
    """Published versions and drafts that were run, with their documents."""

    operations = {"view": "workflow.read"}  # noqa: RUF012
    list_display = ("__str__", "number", "tenant", "author", "note", "created_at")
    list_filter = (TenantFilter, WorkflowFilter)
    search_fields = ("workflow__name", "workflow__slug", "note")
    fields = (
        "workflow", "tenant", "number", "author_name", "note", "created_at", "auto_return", "checksum", "document"
    )  # fmt: skip
    readonly_fields = ("author_name", "auto_return", "document")

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        rows = super().get_queryset(request).select_related("tenant", "workflow", "author")
        return rows.defer("definition", "bindings")

    @admin.display(description=gettext_lazy("Author"))
    def author_name(self, obj: WorkflowVersion) -> str:
        return obj.author.get_username() if obj.author else "—"

    @admin.display(description=gettext_lazy("Goes back by itself"))
    def auto_return(self, obj: WorkflowVersion) -> str:
        found = auto_return_document(obj)
        if found is None:
            return "—"
        words = _("%(failures)d failures in %(runs)d runs: %(status)s") % found
        return f"{words} ({obj.returned_at:%Y-%m-%d %H:%M} UTC)" if obj.returned_at else words

    @admin.display(description=gettext_lazy("Document"))
    def document(self, obj: WorkflowVersion) -> SafeString:
        return pre(kept_document(obj.definition))
