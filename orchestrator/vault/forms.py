"""The form of a credential, made from the JSON schemas of its provider and kind; a secret is never put back into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from integrations.registry import registry
from integrations.sdk.auth import OAuth2
from integrations.sdk.fields import choices_of
from integrations.words import declared
from orchestrator.errors import Invalid, Problem, ServiceError
from orchestrator.tenants.access import Actor
from orchestrator.tenants.models import Role
from orchestrator.vault.models import Credential
from orchestrator.vault.oauth_apps import sign_in_of
from orchestrator.vault.offers import kind_title
from orchestrator.vault.provider_settings import credential_types
from orchestrator.vault.sharing import roles_to_share_with, shared_words

_SECRET, _SETTINGS = "secret-", "settings-"
MAX_FIELD: Final = 20_000


@dataclass(frozen=True, kw_only=True)
class FormField:
    """One field: ``kind`` is text, password, lines, number, choice (of values with their words) or date.

    ``is_needed``: a credential cannot be without it; ``required``: this form cannot, as it is not kept from before.
    """

    id: str
    name: str
    label: str
    help: str = ""
    kind: str = "text"
    value: str = ""
    required: bool = False
    is_needed: bool = False
    docs_url: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class SignInFields:
    """How a form that can be connected is laid out: fields of the app, and those of tokens entered by hand.

    ``has_app``: the operator has set one up, so that nobody has to.
    """

    has_app: bool
    app: tuple[FormField, ...]
    tokens: tuple[FormField, ...]

    @property
    def app_is_wrong(self) -> bool:
        return any(field.error for field in self.app)

    @property
    def tokens_are_wrong(self) -> bool:
        return any(field.error for field in self.tokens)


@dataclass(frozen=True, kw_only=True)
class CredentialForm:
    """A credential's form: for one provider and kind, empty, filled in, or refused."""

    provider: str
    provider_name: str
    auth_type: str
    kind: str
    help: str
    docs_url: str
    name: FormField
    secret: tuple[FormField, ...]
    settings: tuple[FormField, ...]
    expires: FormField
    shared: FormField | None = None
    error: str = ""
    has_app: bool | None = None

    @property
    def sign_in(self) -> SignInFields | None:
        """Return the secret's fields in their two groups, None where nobody can sign in for it."""
        if self.has_app is None:
            return None
        app = tuple(field for field in self.secret if field.name.startswith(f"{_SECRET}client_"))
        tokens = tuple(field for field in self.secret if field not in app)
        return SignInFields(has_app=self.has_app, app=app, tokens=tokens)

    @property
    def fields(self) -> tuple[FormField, ...]:
        return (self.name, *self.secret, *self.settings, self.expires, *((self.shared,) if self.shared else ()))

    @property
    def invalid(self) -> tuple[FormField, ...]:
        """Return the fields with something wrong, for the summary on top."""
        return tuple(field for field in self.fields if field.error)


def credential_form(
    provider: str, auth_type: str, *, actor: Actor | None = None, credential: Credential | None = None,
    next_name: str = ""
) -> CredentialForm:  # fmt: skip
    """Return an empty form, or one with a credential's readable values. Raises Invalid for a kind nobody offers.

    ``actor`` is offered whom to share it with, where there is a choice.
    """
    entry = _entry(provider, auth_type, credential)
    known = registry.provider(provider)
    known_kind = known.auth_kind(auth_type) if known else None
    return CredentialForm(
        provider=provider,
        provider_name=declared(known.name) if known else provider,
        auth_type=auth_type,
        kind=kind_title(provider, auth_type),
        help=declared(known_kind.help) if known_kind else "",
        docs_url=known_kind.docs_url if known_kind else "",
        name=FormField(
            id="f-name",
            name="name",
            label=_("Name"),
            help=_("What it is called in workflows."),
            value=credential.name if credential else next_name,
            required=True,
        ),
        secret=_secret_fields(entry, required=credential is None),
        settings=_settings_fields(entry, credential.settings if credential else {}),
        expires=FormField(
            id="f-expires",
            name="expires",
            label=_("Expires"),
            help=_("If it ends on a day you know: you are reminded a week before."),
            kind="date",
            value=f"{credential.expires_at:%Y-%m-%d}" if credential and credential.expires_at else "",
        ),
        shared=_shared_field(actor, credential) if actor else None,
        has_app=_has_app(provider, auth_type),
    )


def _shared_field(actor: Actor, credential: Credential | None) -> FormField | None:
    roles = roles_to_share_with(actor)
    if len(roles) < 2:
        return None
    return FormField(
        id="f-shared-with",
        name="shared_with",
        label=_("Shared with"),
        help=_(
            "Who may use it in workflows and change it. What is published goes on with it. Nobody reads the secret."
        ),
        kind="choice",
        value=credential.shared_with if credential else Role.EDITOR,
        required=True,
        choices=tuple((role.value, shared_words(role)) for role in roles),
    )


def _has_app(provider: str, auth_type: str) -> bool | None:
    """Return whether the operator has an app at the provider to sign in to, None where nobody can sign in."""
    known = registry.provider(provider)
    kind = known.auth_kind(auth_type) if known else None
    if not isinstance(kind, OAuth2) or known is None:
        return None
    if kind.configurable:
        return False
    found = sign_in_of(provider, {})
    return None if found is None else found.app is not None


def _entry(provider: str, auth_type: str, credential: Credential | None) -> Mapping[str, Any]:
    for entry in credential_types():
        if entry["provider"] == provider and entry["auth_type"] == auth_type:
            return entry
    if credential is None:
        raise Invalid(
            _("%(provider)s takes no credential of this kind: choose one of those offered.") % _named(provider)
        )
    # Its integration was removed: the credential stays, and can be renamed or deleted.
    return {"secret_schema": {}, "settings_schema": {}}


def _named(provider: str) -> dict[str, str]:
    return {"provider": provider[:63]}


def _secret_fields(entry: Mapping[str, Any], *, required: bool) -> tuple[FormField, ...]:
    schema = entry["secret_schema"]
    needed = schema.get("required", ())
    return tuple(
        FormField(
            id=f"f-{_SECRET}{name}",
            name=_SECRET + name,
            label=str(spec.get("title", name)),
            help=str(spec.get("description", "")),
            kind="password" if spec.get("secret") else "text",
            required=required and name in needed,
            is_needed=name in needed,
            docs_url=str(spec.get("docs_url", "")),
        )
        for name, spec in schema.get("properties", {}).items()
    )


def _settings_fields(entry: Mapping[str, Any], values: Mapping[str, Any]) -> tuple[FormField, ...]:
    schema = entry["settings_schema"]
    return tuple(
        _settings_field(name, _plain(spec), values.get(name, spec.get("default")), name in schema.get("required", ()))
        for name, spec in schema.get("properties", {}).items()
    )


def _plain(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of an optional field without its ``null``."""
    choices = [choice for choice in spec.get("anyOf", ()) if choice.get("type") != "null"]
    return {**choices[0], **spec} if choices else spec


def _settings_field(name: str, spec: Mapping[str, Any], value: Any, required: bool) -> FormField:
    kinds = {"array": "lines", "integer": "number"}
    offered = choices_of(spec)
    return FormField(
        id=f"f-{_SETTINGS}{name}",
        name=_SETTINGS + name,
        label=str(spec.get("title", name)),
        help=str(spec.get("description", "")),
        kind="choice" if offered else kinds.get(str(spec.get("type", "")), "text"),
        value="\n".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value),
        required=required,
        choices=(*_none(spec, required), *((str(value), words) for value, words in offered)),
    )


def _none(spec: Mapping[str, Any], required: bool) -> tuple[tuple[str, str], ...]:
    """Return the choice to leave out what may be, and has nothing in its place."""
    return () if required or spec.get("default") is not None else (("", _("Not set")),)


@dataclass(frozen=True, kw_only=True)
class Entered:
    """What a person sent. ``secret`` is None when they left all of it empty: then it stays as it is."""

    name: str
    secret: dict[str, Any] | None
    settings: dict[str, Any]
    expires_at: datetime | None
    shared_with: str | None


def entered(form: CredentialForm, data: Mapping[str, str], *, time_zone: str) -> Entered:
    """Return the values of a sent form. Raises Invalid where a date or a number is none."""
    secret = {field.name.removeprefix(_SECRET): _text(data, field) for field in form.secret}
    given = {name: value for name, value in secret.items() if value}
    settings = {field.name.removeprefix(_SETTINGS): _setting(data, field) for field in form.settings}
    return Entered(
        name=str(data.get("name", ""))[:MAX_FIELD],
        secret=given or None,
        settings={name: value for name, value in settings.items() if value not in ("", [])},
        expires_at=_end_of_day(str(data.get("expires", "")), time_zone),
        shared_with=_text(data, form.shared) or None if form.shared else None,
    )


def _text(data: Mapping[str, str], field: FormField) -> str:
    return str(data.get(field.name, ""))[:MAX_FIELD]


def _setting(data: Mapping[str, str], field: FormField) -> Any:
    text = _text(data, field).strip()
    if field.kind == "lines":
        return [line.strip() for line in text.replace(",", "\n").splitlines() if line.strip()]
    if field.kind == "number" and text:
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text
    return text


def _end_of_day(text: str, time_zone: str) -> datetime | None:
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
        if not 2000 <= day.year <= 2999:
            raise ValueError(text)
    except ValueError:
        message = _("Write the day as 2026-12-31, or leave it empty.")
        raise Invalid(message, problems=[Problem(path="expires_at", message=message, code="invalid")]) from None
    return datetime.combine(day, time(23, 59, 59), tzinfo=ZoneInfo(time_zone))


def tried(form: CredentialForm, data: Mapping[str, str], *, name: str = "") -> CredentialForm:
    """Return the form as it was sent, secrets left out; ``name`` takes the place of one that nobody chose."""
    again = _as_sent(form, data)
    if name and again.name.value in ("", form.name.value):
        return replace(again, name=replace(again.name, value=name))
    return again


def _as_sent(form: CredentialForm, data: Mapping[str, str]) -> CredentialForm:
    def again(field: FormField) -> FormField:
        return field if field.kind == "password" else replace(field, value=_text(data, field))

    return replace(
        form,
        name=again(form.name),
        secret=tuple(again(field) for field in form.secret),
        settings=tuple(again(field) for field in form.settings),
        expires=again(form.expires),
        shared=again(form.shared) if form.shared else None,
    )


def refused(form: CredentialForm, data: Mapping[str, str], error: ServiceError) -> CredentialForm:
    """Return the form as it was sent, secrets left out, with what is wrong at each field."""
    problems = {_field_of(problem.path): problem.message for problem in error.problems}

    def again(field: FormField) -> FormField:
        return replace(field, error=_sentence(problems.get(field.name, "")))

    form = _as_sent(form, data)
    return replace(
        form,
        name=again(form.name),
        secret=tuple(again(field) for field in form.secret),
        settings=tuple(again(field) for field in form.settings),
        expires=again(form.expires),
        shared=again(form.shared) if form.shared else None,
        error="" if any(field.name in problems for field in form.fields) else error.message,
    )


def _field_of(path: str) -> str:
    """Return the name of the field that a problem's path means."""
    if path == "expires_at":
        return "expires"
    head, _dot, rest = path.partition(".")
    name = rest.partition("[")[0].partition(".")[0]
    return {"secret": _SECRET + name, "settings": _SETTINGS + name}.get(head, head) if rest else head


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] if text else ""
