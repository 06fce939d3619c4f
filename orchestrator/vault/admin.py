"""Credentials in the admin: their secret is entered, by the fields of its kind or as JSON, and never shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.db import models
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orchestrator.errors import Conflict, Invalid, Problem, ServiceError
from orchestrator.tenants.access import Actor
from orchestrator.tenants.admin_base import (
    Button,
    Done,
    ScopedAdmin,
    ServiceForm,
    TenantField,
    TenantFilter,
    site,
)
from orchestrator.tenants.admin_forms import GroupedSelect, JSONObjectField
from orchestrator.vault import checks, services
from orchestrator.vault.account import declared_test
from orchestrator.vault.forms import CredentialForm as Offered
from orchestrator.vault.forms import FormField, credential_form
from orchestrator.vault.models import AuthType, Credential
from orchestrator.vault.offers import offers
from orchestrator.workflows.selectors import credential_usages
from orchestrator.workflows.services import credential_delete_checked

_SECRET, _SETTING = "secret-", "settings-"


class WriteOnlyJSON(forms.Textarea):
    """A text area that never gives back what was entered."""

    def format_value(self, value: Any) -> str:
        return ""


class CredentialForm(ServiceForm):
    """A credential with its secret as JSON; the fields of its kind are added where the kind is known."""

    tenant = TenantField(label=gettext_lazy("Tenant"))
    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=100, help_text=gettext_lazy("What it is called in workflows.")
    )
    provider = forms.CharField(
        label=gettext_lazy("Provider"),
        max_length=63,
        help_text=gettext_lazy("One that is not installed here stays possible with the API."),
    )
    auth_type = forms.ChoiceField(label=gettext_lazy("Kind"), choices=AuthType.choices)
    secret = JSONObjectField(
        label=gettext_lazy("Secret as JSON"),
        widget=WriteOnlyJSON(attrs={"rows": 3, "class": "json", "spellcheck": "false", "autocomplete": "off"}),
        help_text=gettext_lazy('Instead of the fields, like {"token": "…"}. Encrypted and never shown again.'),
    )
    settings = JSONObjectField(label=gettext_lazy("Settings as JSON"), rows=3)
    expires_at = forms.DateTimeField(
        label=gettext_lazy("Expires"),
        required=False,
        help_text=gettext_lazy("Like 2027-12-31 18:00, in UTC; you are reminded before."),
    )

    class Meta:
        model = Credential
        fields = ()

    def initial_of(self, instance: Any) -> dict[str, Any]:
        found = {"name": instance.name, "settings": instance.settings, "expires_at": instance.expires_at}
        offered = _offered(instance.provider, instance.auth_type, instance)
        return {**found, **{field.name: field.value for field in offered.settings if field.value}}

    def field_of(self, path: str) -> str | None:
        head, _dot, rest = path.partition(".")
        name = rest.partition("[")[0].partition(".")[0]
        prefix = {"secret": _SECRET, "settings": _SETTING}.get(head)
        if prefix and prefix + name in self.fields:
            return prefix + name
        return super().field_of(head)

    def secret_given(self) -> dict[str, Any] | None:
        """Return the secret that was entered, by its fields or as JSON; None where nothing was."""
        by_field = {name.removeprefix(_SECRET): text for name, text in self._texts(_SECRET) if text}
        if by_field and self.cleaned_data["secret"]:
            message = _("Enter the secret once: in its fields, or as JSON.")
            raise Invalid(message, problems=[Problem(path="secret", message=message, code="twice")])
        return by_field or self.cleaned_data["secret"] or None

    def settings_given(self) -> dict[str, Any]:
        """Return the settings: those of the fields over those of the JSON."""
        by_field = {name.removeprefix(_SETTING): value for name, value in self._texts(_SETTING)}
        found = {**self.cleaned_data.get("settings", {}), **by_field}
        return {name: value for name, value in found.items() if value not in ("", None, [])}

    def _texts(self, prefix: str) -> list[tuple[str, Any]]:
        return [(name, value) for name, value in self.cleaned_data.items() if name.startswith(prefix)]


class LinesField(forms.CharField):
    """A list, one entry a line."""

    widget = forms.Textarea(attrs={"rows": 3})

    def to_python(self, value: Any) -> Any:
        return [line.strip() for line in str(value or "").splitlines() if line.strip()]

    def validate(self, value: Any) -> None:
        if self.required and not value:
            raise forms.ValidationError(self.error_messages["required"], code="required")

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.to_python(initial) != self.to_python(data))

    def run_validators(self, value: Any) -> None:
        """Have none: they are about texts."""


def _form_field(field: FormField) -> forms.Field:
    """Return the form's field for one of a kind's; a secret one never gets a value back."""
    options: dict[str, Any] = {"label": field.label, "help_text": field.help, "required": False}
    match field.kind:
        case "password":
            widget = forms.PasswordInput(attrs={"autocomplete": "off"})
            return forms.CharField(widget=widget, strip=False, max_length=20_000, **options)
        case "lines":
            return LinesField(initial=field.value, max_length=20_000, **options)
        case "number":
            return forms.IntegerField(initial=field.value, **options)
        case "choice":
            return forms.ChoiceField(choices=field.choices, initial=field.value, **options)
        case _:
            return forms.CharField(initial=field.value, max_length=20_000, **options)


def _offered(provider: str, auth_type: str, credential: Credential | None) -> Offered:
    return credential_form(provider, auth_type, credential=credential)


def _kind_groups() -> list[tuple[str, list[tuple[str, str]]]]:
    return [
        (offer.name, [(f"{kind.provider}:{kind.auth_type}", f"{offer.name}: {kind.title}") for kind in offer.kinds])
        for offer in offers()
    ]


def _check(actor: Actor, credential: Any) -> Done:
    checked = checks.credential_check(actor=actor, credential=credential)
    words = checked.get_health_display()
    return Done(message=f"{checked.name}: {words}. {checked.health_message}".strip())


@admin.register(Credential, site=site)
class CredentialAdmin(ScopedAdmin):
    """Credentials, write-only: what is readable is shown, the sealed column never read."""

    form = CredentialForm
    operations = {  # noqa: RUF012
        "view": "credential.read",
        "add": "credential.edit",
        "change": "credential.edit",
        "delete": "credential.edit",
    }
    buttons = (
        Button(
            name="check",
            label=gettext_lazy("Test with the provider"),
            operation="credential.check",
            act=_check,
            shown=lambda credential: declared_test(credential.provider, credential.auth_type) is not None,
        ),
    )
    list_display = ("name", "provider", "auth_type", "tenant", "health", "expires_at", "last_used_at")
    list_filter = (TenantFilter, "health", "auth_type")
    search_fields = ("name", "provider")
    _facts = ("health", "health_message", "secret_set_at", "last_used_at", "used_by")

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        return super().get_queryset(request).defer("sealed")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("tenant", "provider", "auth_type", *self._facts) if obj else ()

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        known = self.form_fields(request, obj)
        by_field = tuple(name for name in known if name.startswith((_SECRET, _SETTING)))
        rest = ("secret", "settings") if not any(n.startswith(_SETTING) for n in known) else ("secret",)
        # Folded away where the kind's own fields are there; in sight where they are not.
        as_json: tuple[str, ...] = rest if obj or by_field else ("provider", "auth_type", *rest)
        kind = ("provider", "auth_type") if obj or by_field else ("kind",)
        sets: list[Any] = [(None, {"fields": ("tenant", "name", *kind)})]
        if by_field:
            words = _("A secret that is left empty stays as it is.") if obj else None
            sets.append((_("Secret and settings"), {"fields": by_field, "description": words}))
        title = _("As JSON") if obj or by_field else _("Or any kind, as JSON")
        sets.append((title, {"fields": as_json, "classes": ("collapse",) if by_field else ()}))
        sets.append((None, {"fields": ("expires_at",)}))
        return [*sets, (_("State"), {"fields": self._facts})] if obj else sets

    def form_fields(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        known = _chosen(request) if obj is None else _offered(obj.provider, obj.auth_type, obj)
        if known is None:
            chosen = forms.CharField(
                label=_("Kind"),
                required=False,
                widget=GroupedSelect(_kind_groups(), blank="—"),
                help_text=_("Choose one, then “Show its fields” at the end of the page."),
            )
            return {
                "kind": chosen,
                "provider": forms.CharField(label=_("Provider"), max_length=63, required=False),
                "auth_type": forms.ChoiceField(
                    label=_("Authentication"), choices=[("", "—"), *AuthType.choices], required=False
                ),
            }
        fields: dict[str, Any] = {field.name: _form_field(field) for field in (*known.secret, *known.settings)}
        if obj is None:
            fields["provider"] = forms.CharField(initial=known.provider, widget=forms.TextInput(_READ_ONLY))
            fields["auth_type"] = forms.CharField(initial=known.auth_type, widget=forms.TextInput(_READ_ONLY))
        return fields

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        left_out = {"tenant", "provider", "auth_type"} if obj else set()
        if any(name.startswith(_SETTING) for name in form.base_fields):
            left_out.add("settings")
        form.base_fields = {name: field for name, field in form.base_fields.items() if name not in left_out}
        return form

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> Any:
        if request.method == "POST" and "_fields" in request.POST:
            kept = {name: request.POST.get(name, "")[:200] for name in ("tenant", "name", "kind")}
            return HttpResponseRedirect(f"{request.path}?{urlencode(kept)}")
        asks = {"asks_for_kind": _chosen(request) is None}
        return super().add_view(request, form_url, {**asks, **(extra_context or {})})

    @admin.display(description=gettext_lazy("Used by"))
    def used_by(self, obj: Credential) -> str:
        usages = credential_usages(obj.tenant, obj)
        return ", ".join(f"{usage.workflow_name}: {usage.step_key}" for usage in usages) or "—"

    def links(self, obj: Any) -> Sequence[tuple[str, str]]:
        return [(_("Open in the product"), reverse("credential", args=[obj.tenant.slug, obj.pk]))]

    def write(self, actor: Actor, form: Any, formsets: list[Any], change: bool) -> models.Model:
        values, secret = form.cleaned_data, form.secret_given()
        if not change:
            provider, auth_type = _kind_of(values)
            return services.credential_create(
                actor=actor,
                name=values["name"],
                provider=provider,
                auth_type=auth_type,
                secret=secret or {},
                settings=form.settings_given(),
                expires_at=values["expires_at"],
            )
        changes: dict[str, Any] = {"name": values["name"]} if "name" in form.changed_data else {}
        if any(name == "settings" or name.startswith(_SETTING) for name in form.changed_data):
            changes["settings"] = form.settings_given()
        if "expires_at" in form.changed_data:
            changes["expires_at"] = values["expires_at"]
        if secret is not None:
            changes["secret"] = secret
        if not changes:
            found: Credential = form.instance
            return found
        return services.credential_update(actor=actor, credential=form.instance, **changes)

    def remove(self, request: HttpRequest, actor: Actor, obj: Any) -> None:
        credential_delete_checked(actor=actor, credential=obj, force="force" in request.GET)

    def after_refused_delete(self, request: HttpRequest, object_id: str, error: ServiceError) -> str:
        if isinstance(error, Conflict) and error.code == "in_use":
            return f"{self.url('delete', object_id)}?force=1"
        return super().after_refused_delete(request, object_id, error)


_READ_ONLY = {"readonly": True}


def _chosen(request: HttpRequest) -> Offered | None:
    """Return the fields of the kind that the address names, if there is such a one."""
    provider, _colon, auth_type = request.GET.get("kind", "").partition(":")
    try:
        return _offered(provider, auth_type, None) if provider else None
    except Invalid:
        return None


def _kind_of(values: Mapping[str, Any]) -> tuple[str, str]:
    """Return provider and auth type, by the one choice or by the two fields."""
    provider, _colon, auth_type = str(values.get("kind") or "").partition(":")
    provider, auth_type = values.get("provider") or provider, values.get("auth_type") or auth_type
    if not provider or not auth_type:
        message = _("Choose a kind.")
        raise Invalid(message, problems=[Problem(path="kind", message=message, code="required")])
    return provider, auth_type
