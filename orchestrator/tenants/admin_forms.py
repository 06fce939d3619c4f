"""Forms, fields and texts that the admin's pages share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

from django import forms
from django.db import models
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from orchestrator import jsongate
from orchestrator.errors import ServiceError
from orchestrator.tenants.models import Tenant

if TYPE_CHECKING:
    _ModelForm = forms.ModelForm[Any]
    _TenantChoice = forms.ModelChoiceField[Tenant]
else:
    _ModelForm = forms.ModelForm
    _TenantChoice = forms.ModelChoiceField

PROBLEMS_SHOWN: Final = 20
SHOWN_BYTES: Final = 64 * 1024
MAX_JSON: Final = 1024 * 1024
Choices = Sequence[tuple[str, Sequence[tuple[str, str]]]]


class ServiceForm(_ModelForm):
    """A form whose values go to a service: it neither fills nor validates a model's instance."""

    request: ClassVar[HttpRequest]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        instance = kwargs.get("instance")
        shown = {} if instance is None or instance._state.adding else self.initial_of(instance)
        kwargs["initial"] = {**shown, **(kwargs.get("initial") or {})}
        super().__init__(*args, **kwargs)

    def initial_of(self, instance: Any) -> dict[str, Any]:
        """Return the values that a form about ``instance`` shows."""
        return {name: getattr(instance, name) for name in self.base_fields if hasattr(instance, name)}

    def field_of(self, path: str) -> str | None:
        """Return the field that a problem's path means, if it is one."""
        return path if path in self.fields else None

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        refusal = getattr(self.request, "_admin_refusal", None)
        if isinstance(refusal, ServiceError):
            self._show(refusal)
        return cleaned

    def _post_clean(self) -> None:
        """Leave the instance alone: the service makes or changes the row."""

    def _show(self, refusal: ServiceError) -> None:
        if not refusal.problems:
            self.add_error(None, refusal.message)
        for problem in refusal.problems[:PROBLEMS_SHOWN]:
            field = self.field_of(problem.path)
            self.add_error(field, problem.message if field else f"{problem.path}: {problem.message}")


class TenantField(_TenantChoice):
    """The tenant a new object is made in, one of the person's own."""

    def __init__(self, queryset: models.QuerySet[Tenant] | None = None, **kwargs: Any) -> None:
        super().__init__(Tenant.objects.none() if queryset is None else queryset, **kwargs)


class _Sent(str):
    """Text as a person sent it, not a JSON string."""


class JSONField(forms.CharField):
    """JSON in a text area, through the one gate: Django's own field takes NaN and any depth."""

    def __init__(self, *, empty: Any = None, rows: int = 4, **kwargs: Any) -> None:
        self.empty = empty
        kwargs.setdefault("required", False)
        kwargs.setdefault("widget", forms.Textarea(attrs={"rows": rows, "class": "json", "spellcheck": "false"}))
        super().__init__(**kwargs)

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        if not text:
            return self.empty
        try:
            return jsongate.loads(text, max_bytes=MAX_JSON)
        except jsongate.BadJSON as error:
            raise forms.ValidationError(
                _("%(reason)s. Correct it and save again.") % {"reason": _sentence(error)}
            ) from error

    def validate(self, value: Any) -> None:
        if self.required and value in (None, "", {}, []):
            raise forms.ValidationError(self.error_messages["required"], code="required")

    def run_validators(self, value: Any) -> None:
        """Have none: CharField's are about texts."""

    def bound_data(self, data: Any, initial: Any) -> Any:
        return None if data is None else _Sent(data)

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, _Sent):
            return str(value)
        return "" if value is None or value == self.empty else pretty(value)

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.to_python(data) != (self.empty if initial is None else initial))
        except forms.ValidationError:
            return True


class JSONObjectField(JSONField):
    """A JSON object."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"empty": {}, **kwargs})

    def to_python(self, value: Any) -> Any:
        parsed = super().to_python(value)
        if not isinstance(parsed, dict):
            raise forms.ValidationError(_('Write a JSON object, like {"name": "value"}.'))
        return parsed


class GroupedSelect(forms.Select):
    """A select with groups that keeps a value which is none of its choices; drawn in one go, as there are many."""

    def __init__(self, groups: Choices = (), *, blank: str = "", unknown: str = "") -> None:
        super().__init__()
        self.groups, self.blank, self.unknown = groups, blank, unknown

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        chosen = "" if value is None else str(value)
        known = {key for _label, options in self.groups for key, _text in options}
        kept = [(chosen, f"{chosen} {self.unknown}".strip())] if chosen and chosen not in known else []
        drawn = format_html_join("", "{}", ((_optgroup(label, options, chosen),) for label, options in self.groups))
        first = _options([("", self.blank), *kept], chosen)
        all_attrs = self.build_attrs(self.attrs, {"name": name, **(attrs or {})})
        flat = format_html_join(
            "", ' {}="{}"', ((key, text) for key, text in all_attrs.items() if text not in (None, False))
        )
        return format_html("<select{}>{}{}</select>", flat, first, drawn)


def _optgroup(label: str, options: Iterable[tuple[str, str]], chosen: str) -> SafeString:
    drawn = _options(options, chosen)
    return format_html('<optgroup label="{}">{}</optgroup>', label, drawn) if label else drawn


def _options(options: Iterable[tuple[str, str]], chosen: str) -> SafeString:
    marks = (SafeString(""), SafeString(" selected"))
    return format_html_join(
        "", '<option value="{}"{}>{}</option>', ((key, marks[key == chosen], text) for key, text in options)
    )


def pretty(value: Any) -> str:
    """Return JSON as a person reads it."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def shown(value: Any, limit: int = SHOWN_BYTES) -> str:
    """Return JSON as a person reads it, cut at ``limit`` characters with a word about it."""
    text = pretty(value)
    if len(text) <= limit:
        return text
    left = len(text) - limit
    cut = ngettext("… cut here, %(left)d more character", "… cut here, %(left)d more characters", left) % {"left": left}
    return f"{text[:limit]}\n{cut}"


def pre(value: Any) -> SafeString:
    """Return JSON in a ``<pre>``, escaped and cut."""
    return format_html('<pre class="json">{}</pre>', shown(value))


def _sentence(error: Exception) -> str:
    text = str(error)
    return text[:1].upper() + text[1:]
