"""The base of every model admin: rows scoped by tenant, saved by services, with buttons.

Staff of a tenant (``is_staff`` and a membership of editor or above) need no Django permissions; a superuser
sees every tenant and acts as its owner. An object of another tenant looks like one that does not exist.

Nothing is saved by the admin itself: a model admin's ``write`` and ``remove`` call services, and what a service
refuses becomes errors of the form or a message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.core.exceptions import FieldDoesNotExist, PermissionDenied
from django.db import models, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from orchestrator.errors import NotFound, ServiceError
from orchestrator.tenants.access import Actor
from orchestrator.tenants.admin_forms import PROBLEMS_SHOWN, ServiceForm, TenantField
from orchestrator.tenants.admin_reach import actor_of, reach_of
from orchestrator.tenants.admin_scope import ReadOnlyMixin, ScopedMixin, TenantFilter, as_id
from orchestrator.tenants.admin_site import site
from orchestrator.tenants.models import AuditEvent, Tenant

__all__ = [
    "Button",
    "Done",
    "ReadOnlyMixin",
    "ScopedAdmin",
    "ScopedMixin",
    "ServiceAdmin",
    "ServiceForm",
    "TenantField",
    "TenantFilter",
    "actor_of",
    "adopt",
    "as_id",
    "reach_of",
    "site",
]

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin

HISTORY_LINES: Final = 200


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a button did, in words, and where to go on to (else back to the object)."""

    message: str
    url: str = ""


def _always(_: Any) -> bool:
    return True


@dataclass(frozen=True, kw_only=True)
class Button:
    """Something to do with an object: a button on its page, and an action in the list.

    ``act`` may raise ServiceError; ``operation`` is a key of MINIMUM_ROLE.
    """

    name: str
    label: StrOrPromise
    operation: str
    act: Callable[[Actor, Any], Done]
    shown: Callable[[Any], bool] = _always
    in_list: bool = True


def adopt(obj: models.Model, saved: models.Model) -> None:
    """Make ``obj``, which Django's views go on with, the row that a service saved."""
    for field in saved._meta.concrete_fields:
        if field.attname in saved.__dict__:
            setattr(obj, field.attname, getattr(saved, field.attname))
    obj._state.adding, obj._state.db = False, saved._state.db


class ServiceAdmin(_ModelAdmin):
    """A model admin whose rows services save; what they refuse is shown in the form."""

    form: Any = ServiceForm
    show_full_result_count = False
    # Counting each filter's rows would read a long table several times.
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        number = as_id(object_id)
        return None if number is None else self.get_queryset(request).filter(pk=number).first()

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Let a list be narrowed by its own filters alone: any column would be an oracle for what is not shown."""
        allowed = {f"{name}{suffix}" for name in self._filter_names(request) for suffix in ("", "__exact", "__isnull")}
        if lookup in allowed:
            return True
        try:
            self.opts.get_field(lookup.split("__")[0])
        except FieldDoesNotExist:
            return lookup != "pk"
        return False

    def _filter_names(self, request: HttpRequest | None) -> list[str]:
        filters = self.get_list_filter(request) if request else self.list_filter
        return [one if isinstance(one, str) else getattr(one, "parameter_name", "") for one in filters]

    def _get_obj_does_not_exist_redirect(self, request: HttpRequest, opts: Any, object_id: str) -> HttpResponse:
        raise Http404

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        own: dict[str, Any] = {"request": request, **self.form_fields(request, obj)}
        if not hasattr(self.form, "Meta"):
            own["Meta"] = type("Meta", (), {"model": self.model, "fields": ()})
        form: Any = type(self.form.__name__, (self.form,), own)
        tenant = form.base_fields.get("tenant")
        if isinstance(tenant, forms.ModelChoiceField):
            rows = self.tenant_choices(request)
            first = list(rows[:2])
            field = TenantField(rows, initial=first[0] if len(first) == 1 else None)
            form.base_fields["tenant"] = field
        return form

    def form_fields(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        """Return fields that depend on the object; they are added to the form."""
        return {}

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except NotFound as error:
            raise Http404(error.message) from error
        except ServiceError as refusal:
            # Rolled back by now. The same form once more, which then shows what was sent and why it was refused.
            request._admin_refusal = refusal  # type: ignore[attr-defined]
            return super().changeform_view(request, object_id, form_url, extra_context)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """Leave it to ``save_related``, where the inlines are known too."""

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        return []

    # The audit log is the history; Django's own log would keep names of a tenant for who has left it.

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return None

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return None

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        return None

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        obj = self.get_object(request, object_id)
        if obj is None:
            raise Http404
        if not self.has_view_permission(request, obj):
            raise PermissionDenied
        rows = self.events(obj).defer("detail").order_by("-id")
        events = rows.filter(target_type=self.opts.model_name, target_id=obj.pk)[:HISTORY_LINES]
        context = {
            **site.each_context(request),
            "title": _("History: %s") % obj,
            "events": list(events),
            "object": obj,
            "opts": self.opts,
        }
        return TemplateResponse(request, "admin/history.html", context)

    def events(self, obj: Any) -> models.QuerySet[AuditEvent]:
        """Return the audit log that an object's history is taken from."""
        return AuditEvent.unscoped.all()

    def tenant_choices(self, request: HttpRequest) -> models.QuerySet[Tenant]:
        """Return the tenants that a new object can be made in."""
        return reach_of(request).tenants()


class ScopedAdmin(ScopedMixin, ServiceAdmin):
    """A model admin of tenant-owned rows: scoped, saved by services, with buttons."""

    buttons: ClassVar[tuple[Button, ...]] = ()
    list_select_related: ClassVar[Any] = ("tenant",)

    # Overridden by each model's admin

    def write(self, actor: Actor, form: Any, formsets: list[Any], change: bool) -> models.Model:
        """Make or change the row by a service and return it."""
        raise NotImplementedError

    def remove(self, request: HttpRequest, actor: Actor, obj: Any) -> None:
        """Delete the row by a service."""
        raise NotImplementedError

    def events(self, obj: Any) -> models.QuerySet[AuditEvent]:
        return AuditEvent.objects.for_tenant(self.tenant_id_of(obj))

    def tenant_choices(self, request: HttpRequest) -> models.QuerySet[Tenant]:
        return reach_of(request).tenants(self.operations["add"])

    def links(self, obj: Any) -> Iterable[tuple[str, str]]:
        """Return label and address of what to offer beside an object's buttons."""
        return ()

    # Reading

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        number = as_id(object_id)
        if number is None:
            return None
        rows = self.get_queryset(request).filter(pk=number)
        return (rows.select_related("tenant") if self.tenant_path == "tenant_id" else rows).first()

    # Saving

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: Any) -> None:
        tenant = form.instance.tenant if change else form.cleaned_data["tenant"]
        adopt(form.instance, self.write(actor_of(request, tenant), form, formsets, change))

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        obj = kwargs.get("obj")
        if obj is not None:
            context |= {"buttons": self._buttons(request, obj), "links": list(self.links(obj))}
        return super().render_change_form(request, context, *args, **kwargs)

    # Deleting

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Name the objects alone: collecting what goes with them would read every run of a workflow."""
        names = [str(obj) for obj in objs]
        return names, {str(self.opts.verbose_name_plural): len(names)}, set(), []

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self.remove(request, actor_of(request, self.tenant_of(obj)), obj)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        """Delete all of them or, where a service refuses one, none."""
        with transaction.atomic():
            for obj in queryset:
                self.delete_model(request, obj)

    def tenant_of(self, obj: Any) -> Tenant:
        found: Tenant = obj if isinstance(obj, Tenant) else obj.tenant
        return found

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        try:
            return super().delete_view(request, object_id, extra_context)
        except NotFound as error:
            raise Http404(error.message) from error
        except ServiceError as error:
            self._refused(request, error)
            return HttpResponseRedirect(self.after_refused_delete(request, object_id, error))

    def after_refused_delete(self, request: HttpRequest, object_id: str, error: ServiceError) -> str:
        """Return where to go on after a deletion was refused."""
        return self.url("change", object_id)

    # Buttons and actions

    def url(self, name: str, *args: Any) -> str:
        """Return the address of one of this model's admin pages."""
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_{name}", args=args)

    def get_urls(self) -> list[URLPattern]:
        view = site.admin_view(self.button_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_button"
        return [path("<path:object_id>/do/<slug:name>/", view, name=name), *super().get_urls()]

    def button_view(self, request: HttpRequest, object_id: str, name: str) -> HttpResponseBase:
        """Do what a button says, by POST, and go back with what came of it."""
        obj = self.get_object(request, object_id)
        button = next((button for button in self.buttons if button.name == name), None)
        if obj is None or button is None:
            raise Http404
        if request.method != "POST" or not reach_of(request).may(button.operation, self.tenant_id_of(obj)):
            raise PermissionDenied
        target = self.url("change", obj.pk)
        try:
            done = button.act(actor_of(request, self.tenant_of(obj)), obj)
        except ServiceError as error:
            self._refused(request, error)
            return HttpResponseRedirect(target)
        self.message_user(request, done.message, messages.SUCCESS)
        return HttpResponseRedirect(done.url or target)

    def _buttons(self, request: HttpRequest, obj: Any) -> list[dict[str, Any]]:
        reach, tenant_id = reach_of(request), self.tenant_id_of(obj)
        return [
            {"label": button.label, "url": self.url("button", obj.pk, button.name)}
            for button in self.buttons
            if reach.may(button.operation, tenant_id) and button.shown(obj)
        ]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = super().get_actions(request)
        for button in self.buttons:
            if button.in_list and reach_of(request).may(button.operation):
                actions[button.name] = (_action(button), button.name, str(button.label))
        return actions

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        if request.method == "POST":
            posted = request.POST.copy()
            chosen = [as_id(text) for text in posted.getlist(helpers.ACTION_CHECKBOX_NAME)]
            posted.setlist(helpers.ACTION_CHECKBOX_NAME, [str(pk) for pk in chosen if pk is not None][:1_000])
            request.POST = posted  # type: ignore[assignment]
        title = {"title": capfirst(self.opts.verbose_name_plural)}
        try:
            return super().changelist_view(request, {**title, **(extra_context or {})})
        except ServiceError as error:
            self._refused(request, error)
            return HttpResponseRedirect(request.get_full_path())

    def _refused(self, request: HttpRequest, error: ServiceError, about: str = "") -> None:
        problems = [f"{problem.path}: {problem.message}" for problem in error.problems[:PROBLEMS_SHOWN]]
        self.message_user(request, " ".join([about, error.message, *problems]).strip(), messages.ERROR)


def _action(button: Button) -> Callable[[Any, HttpRequest, Any], None]:
    """Return the list's action of a button; each object is tried by itself."""

    def act(modeladmin: ScopedAdmin, request: HttpRequest, queryset: models.QuerySet[Any]) -> None:
        done = 0
        for obj in queryset:
            tenant = modeladmin.tenant_of(obj)
            try:
                button.act(actor_of(request, tenant), obj)
                done += 1
            except ServiceError as error:
                modeladmin._refused(request, error, f"{obj}:")
        if done:
            words = ngettext("%(label)s: done for %(count)d.", "%(label)s: done for %(count)d.", done)
            modeladmin.message_user(request, words % {"label": button.label, "count": done}, messages.SUCCESS)

    return act
