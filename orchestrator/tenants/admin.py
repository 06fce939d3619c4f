"""Tenants, their members, tokens and audit log in the admin; users for superusers alone."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import models, transaction
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orchestrator.errors import Invalid, Problem
from orchestrator.tenants import services
from orchestrator.tenants.access import Actor
from orchestrator.tenants.admin_base import (
    ReadOnlyMixin,
    ScopedAdmin,
    ServiceAdmin,
    ServiceForm,
    TenantField,
    TenantFilter,
    actor_of,
    adopt,
    reach_of,
    site,
)
from orchestrator.tenants.admin_forms import JSONField, pre
from orchestrator.tenants.models import ApiToken, AuditEvent, Membership, Role, Scope, Tenant


class TenantForm(ServiceForm):
    egress_allow = JSONField(
        label=gettext_lazy("Reachable hosts"),
        empty=[],
        help_text=gettext_lazy('A JSON list like ["api.example.com", "*.example.com"]; empty means every public host.'),
    )

    class Meta:
        model = Tenant
        fields = ("slug", "name", "time_zone", "max_concurrent_runs", "runs_per_minute", "retention_days")


@admin.register(Tenant, site=site)
class TenantsAdmin(ScopedAdmin):
    """Tenants: a superuser makes them, their admins change them."""

    form = TenantForm
    operations = {"view": "workflow.read", "add": "tenant.edit", "change": "tenant.edit"}  # noqa: RUF012
    tenant_path = "pk"
    list_select_related = False
    list_display = ("name", "slug", "time_zone", "max_concurrent_runs", "runs_per_minute", "created_at")
    search_fields = ("name", "slug")
    fields = (
        "slug",
        "name",
        "time_zone",
        ("max_concurrent_runs", "runs_per_minute", "retention_days"),
        "egress_allow",
    )

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return reach_of(request).everywhere

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("slug",) if obj else ()

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        if obj is not None:
            form.base_fields = {name: field for name, field in form.base_fields.items() if name != "slug"}
        return form

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: Any) -> None:
        values = dict(form.cleaned_data)
        if not change:
            slug = values.pop("slug")
            tenant, made = services.tenant_create(slug=slug, name=values.pop("name"), owner=None)
            if not made:
                message = _("Another tenant has this slug. Choose a different one.")
                raise Invalid(message, problems=[Problem(path="slug", message=message, code="taken")])
        else:
            tenant = form.instance
        changes = {name: values[name] for name in form.changed_data if name in values}
        if changes:
            actor = actor_of(request, tenant)
            tenant = services.tenant_update(actor=actor, changes=changes)
        adopt(form.instance, tenant)


class MembershipForm(ServiceForm):
    tenant = TenantField(label=gettext_lazy("Tenant"))
    username = forms.CharField(label=gettext_lazy("User name"), max_length=150)
    role = forms.ChoiceField(label=gettext_lazy("Role"), choices=Role.choices)

    class Meta:
        model = Membership
        fields = ()

    def field_of(self, path: str) -> str | None:
        return super().field_of("username" if path == "user" else path)


@admin.register(Membership, site=site)
class MembershipAdmin(ScopedAdmin):
    """Who belongs to a tenant; a person is named by their user name, as no list of everybody is shown."""

    form = MembershipForm
    operations = {  # noqa: RUF012
        "view": "member.read",
        "add": "member.edit",
        "change": "member.edit",
        "delete": "member.edit",
    }
    list_display = ("user", "tenant", "role", "created_at")
    list_select_related = ("tenant", "user")
    list_filter = (TenantFilter, "role")
    search_fields = ("user__username",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("tenant", "user_name", "role") if obj else ("tenant", "username", "role")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("tenant", "user_name") if obj else ()

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        if obj is not None:
            form.base_fields = {"role": form.base_fields["role"]}
        return form

    @admin.display(description=gettext_lazy("User"))
    def user_name(self, obj: Membership) -> str:
        return obj.user.get_username()

    def write(self, actor: Actor, form: Any, formsets: list[Any], change: bool) -> models.Model:
        user = form.instance.user if change else _user_named(form.cleaned_data["username"])
        return services.member_add(actor=actor, user=user, role=Role(form.cleaned_data["role"]))

    def remove(self, request: HttpRequest, actor: Actor, obj: Any) -> None:
        services.member_remove(actor=actor, membership=obj)


def _user_named(name: str) -> User:
    found = User.objects.filter(username=name).first()
    if found is None:
        message = _("There is no user of this name. Ask your operator to make one.")
        raise Invalid(message, problems=[Problem(path="username", message=message, code="unknown")])
    return found


class TokenForm(ServiceForm):
    tenant = TenantField(label=gettext_lazy("Tenant"))
    name = forms.CharField(label=gettext_lazy("Name"), max_length=200, help_text=gettext_lazy("What uses the token."))
    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("Scopes"),
        choices=Scope.choices,
        widget=forms.CheckboxSelectMultiple,
        initial=[Scope.READ],
        help_text=gettext_lazy("Each brings those before it along; never more than your role."),
    )
    expires_at = forms.DateTimeField(
        label=gettext_lazy("Expires"),
        required=False,
        help_text=gettext_lazy("Like 2027-12-31 18:00, in UTC; empty: never."),
    )

    class Meta:
        model = ApiToken
        fields = ()


@admin.register(ApiToken, site=site)
class ApiTokenAdmin(ScopedAdmin):
    """API tokens: made for oneself, shown once, revoked by deleting them; admins see and revoke everybody's."""

    form = TokenForm
    operations = {"view": "token.own", "add": "token.own", "delete": "token.own"}  # noqa: RUF012
    list_display = ("name", "prefix", "user", "tenant", "scope_words", "expires_at", "last_used_at")
    list_select_related = ("tenant", "user")
    list_filter = (TenantFilter,)
    search_fields = ("name", "prefix")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if obj is None:
            return ("tenant", "name", "scopes", "expires_at")
        return ("tenant", "name", "prefix", "user_name", "scope_words", "expires_at", "last_used_at", "created_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.get_fields(request, obj) if obj else ()

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        rows, reach = super().get_queryset(request), reach_of(request)
        if reach.everywhere:
            return rows
        return rows.filter(models.Q(user=reach.user) | models.Q(tenant_id__in=reach.ids("token.edit")))

    @admin.display(description=gettext_lazy("User"))
    def user_name(self, obj: ApiToken) -> str:
        return obj.user.get_username()

    @admin.display(description=gettext_lazy("Scopes"))
    def scope_words(self, obj: ApiToken) -> str:
        return ", ".join(obj.scopes)

    def write(self, actor: Actor, form: Any, formsets: list[Any], change: bool) -> models.Model:
        values = form.cleaned_data
        token, plain = services.token_create(
            actor=actor,
            name=values["name"],
            scopes=[Scope(scope) for scope in values["scopes"]],
            expires_at=values["expires_at"],
        )
        form.request._admin_made_token = plain
        return token

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        # Shown in this very answer: a message would lie in a cookie until it is read.
        context = {
            **site.each_context(request),
            "title": _("Token made"),
            "opts": self.opts,
            "original": obj,
            "token": getattr(request, "_admin_made_token", ""),
        }
        return TemplateResponse(request, "admin/tenants/apitoken/made.html", context)

    def remove(self, request: HttpRequest, actor: Actor, obj: Any) -> None:
        services.token_revoke(actor=actor, token=obj)


@admin.register(AuditEvent, site=site)
class AuditEventAdmin(ReadOnlyMixin, ScopedAdmin):
    """What people and tokens did, for a tenant's admins."""

    operations = {"view": "audit.read"}  # noqa: RUF012
    list_display = ("at", "actor_label", "action", "target_type", "target_label", "tenant")
    list_filter = (TenantFilter, "target_type")
    search_fields = ("actor_label", "action", "target_label")
    fields = ("at", "tenant", "actor_label", "action", "target_type", "target_id", "target_label", "shown_detail")
    readonly_fields = ("shown_detail",)

    @admin.display(description=gettext_lazy("Detail"))
    def shown_detail(self, obj: AuditEvent) -> SafeString:
        return pre(obj.detail)


class UserForm(ServiceForm):
    password = forms.CharField(
        label=gettext_lazy("New password"),
        required=False,
        strip=False,
        max_length=500,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=gettext_lazy("Empty: it stays as it is."),
    )

    class Meta:
        model = User
        fields = ("username", "email", "is_active", "is_staff", "is_superuser")

    def initial_of(self, instance: Any) -> dict[str, Any]:
        return {name: getattr(instance, name) for name in self.base_fields if name != "password"}


@admin.register(User, site=site)
class UsersAdmin(ServiceAdmin):
    """Users, for superusers; what a user may do in a tenant is their membership, not a Django permission."""

    form = UserForm
    fields = ("username", "password", "email", "is_active", "is_staff", "is_superuser")
    list_display = ("username", "email", "is_active", "is_staff", "is_superuser", "last_login")
    list_filter = ("is_active", "is_staff", "is_superuser")
    search_fields = ("username", "email")
    ordering = ("username",)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return reach_of(request).everywhere

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return reach_of(request).everywhere

    def has_add_permission(self, request: HttpRequest) -> bool:
        return reach_of(request).everywhere

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return reach_of(request).everywhere

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Their name is on what they did: a user who leaves is made inactive.
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("username",) if obj else ()

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        if obj is not None:
            form.base_fields = {name: field for name, field in form.base_fields.items() if name != "username"}
        return form

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        values = dict(form.cleaned_data)
        password = values.pop("password")
        assert isinstance(request.user, User)
        with transaction.atomic():
            if change:
                user = form.instance
            else:
                user, made = services.user_create(name=values.pop("username"), password=password)
                password = ""
                if not made:
                    message = _("Another user has this name. Choose a different one.")
                    raise Invalid(message, problems=[Problem(path="username", message=message, code="taken")])
            changes = {name: value for name, value in values.items() if getattr(user, name) != value}
            if changes or password:
                user = services.user_update(by=request.user, user=user, changes=changes, password=password)
        adopt(obj, user)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: Any) -> None:
        """Have nothing beside the row."""
