"""Forms, ``/f/<token>``: a page that anyone with the address fills in; what is sent starts a run.

A GET only shows. There is no session and no cookie, so nothing can be done in somebody's name; what is sent twice by a
second press counts once, by a number that the page carries.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods
from pydantic import ValidationError

from orchestrator import jsongate
from orchestrator.errorpages import error_response
from orchestrator.errors import Invalid
from orchestrator.flow.forms import FormConfig, config_of
from orchestrator.flow.json_schemas import schema_problems, value_problems
from orchestrator.flow.names import TriggerType
from orchestrator.tenants.models import Tenant
from orchestrator.tenants.shell import theme_of
from orchestrator.types import JSONValue
from runs.pages.schema_form import FormField, by_field, form_fields, form_value
from runs.triggers import accepting, rules
from runs.triggers.addresses import Address, find_address
from runs.triggers.intake import Moved, Unavailable, intake
from runs.triggers.requests import MAX_BODY_BYTES, BadRequest, declared_length
from runs.triggers.samples import keep_sample

_LOOKS: Final = 3
_ONCE: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")
# A field that people do not see: who fills it in is a program. No name that a browser would fill in by itself.
_TRAP: Final = "leave_this_empty"


@dataclass(frozen=True, kw_only=True)
class FormPage:
    """The page: the form with what was entered and what is wrong with it, or thanks, or why there is none."""

    tenant: str
    title: str
    text: str
    state: str  # open, draft, thanks, recorded or closed
    button: str
    once: str = ""
    fields: tuple[FormField, ...] = ()
    invalid: tuple[FormField, ...] = ()
    said: str = ""


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def form(request: HttpRequest, token: str) -> HttpResponse:
    """Show a form, or take what was filled in; what cannot be kept is shown again as it was entered."""
    # Who calls has no session with us, and is given none.
    request.META["CSRF_COOKIE_NEEDS_UPDATE"] = False
    address = find_address(token, (TriggerType.FORM,))
    for _look in range(_LOOKS):
        if address is None:
            return _unlisted(error_response(request, 404))
        config = _config(address)
        if address.is_published and not address.enabled:
            return _answer(request, _page(address, config, "closed"), status=409)
        if request.method != "POST":
            return _answer(request, _open(address, config))
        try:
            return _sent(request, address, config)
        except Moved:
            address = find_address(token, (TriggerType.FORM,))
    return _unlisted(error_response(request, 503))


def _config(address: Address) -> FormConfig:
    """Return what an address asks for; of a draft's that is wrong, what is new."""
    try:
        return config_of(address.config)
    except ValidationError:
        return FormConfig()


def _sent(request: HttpRequest, address: Address, config: FormConfig) -> HttpResponse:
    if declared_length(request.META) > MAX_BODY_BYTES:
        return _again(request, address, config, 413, _("This is more than can be taken. Send less."))
    posted = {name: value for name, value in request.POST.items() if isinstance(value, str)}
    if posted.get(_TRAP):
        # As if it had been taken: a program learns nothing.
        return _answer(request, _page(address, config, "thanks"))
    schema = _schema(config)
    value = form_value(schema, posted)
    problems = dict(value_problems(value, schema))
    if problems:
        errors, rest = by_field(schema, problems)
        said = " ".join(rest) or _("Some fields need another look.")
        return _again(request, address, config, 422, said, posted=posted, errors=errors)
    try:
        return _kept(request, address, config, value, posted.get("once", ""))
    except BadRequest as error:
        return _again(request, address, config, error.status, error.message, posted=posted)
    except Invalid as error:
        return _again(request, address, config, 413, error.message, posted=posted)
    except (Unavailable, OperationalError, InterfaceError):
        said = _("It could not be kept just now. Send it again in a moment.")
        return _again(request, address, config, 503, said, posted=posted)


def _kept(
    request: HttpRequest, address: Address, config: FormConfig, value: dict[str, JSONValue], once: str
) -> HttpResponse:
    document: dict[str, JSONValue] = {
        "type": TriggerType.FORM.value,
        "key": address.key,
        "method": "POST",
        "headers": {},
        "query": {},
        "body": value,
        "received_at": timezone.now().isoformat(),
    }
    if not address.is_published:
        keep_sample(address, document)
        return _answer(request, _page(address, config, "recorded"))
    rules.check_rate(address, config.rate_limit)
    # With what was entered: who goes back, corrects it and sends it again with the same number is not to be thanked for
    # what is then thrown away.
    entered = hashlib.sha256(jsongate.dumps(value).encode("utf-8", "surrogatepass")).hexdigest()
    delivery = f"{once}:{entered}" if _ONCE.fullmatch(once) else None
    intake.accept(accepting.arrival_of(address, accepting.written(document), delivery=delivery))
    return _answer(request, _page(address, config, "thanks"))


def _schema(config: FormConfig) -> dict[str, Any]:
    """Return the form's schema; a draft's that cannot be used asks for nothing."""
    return {"type": "object"} if schema_problems(config.form_schema, of_object=True) else config.form_schema


def _open(
    address: Address,
    config: FormConfig,
    *,
    posted: Mapping[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
    said: str = "",
) -> FormPage:
    fields = form_fields(_schema(config), id_prefix="f", posted=posted, errors=errors)
    once = (posted or {}).get("once", "")
    return _page(
        address,
        config,
        "open" if address.is_published else "draft",
        once=once if _ONCE.fullmatch(once) else secrets.token_urlsafe(16),
        fields=fields,
        invalid=tuple(field for field in fields if field.error),
        said=said,
    )


def _page(address: Address, config: FormConfig, state: str, **more: Any) -> FormPage:
    title = config.title or _("Form")
    texts = {
        "thanks": config.thanks or _("Thank you. It was sent."),
        "recorded": _("It was kept as a sample. Nothing was started: this form is not published yet."),
        "closed": _("This form is closed at the moment."),
    }
    tenant = Tenant.objects.filter(pk=address.tenant_id).values_list("name", flat=True).first() or ""
    text = texts.get(state, config.description)
    return FormPage(tenant=tenant, title=title, text=text, state=state, button=config.button or _("Send"), **more)


def _again(
    request: HttpRequest, address: Address, config: FormConfig, status: int, said: str, **more: Any
) -> HttpResponse:
    response = _answer(request, _open(address, config, said=said, **more), status=status)
    if status in (429, 503):
        response["Retry-After"] = "60" if status == 429 else "5"
    return response


def _answer(request: HttpRequest, page: FormPage, *, status: int = 200) -> HttpResponse:
    text = render_to_string("runs/form.html", {"page": page, "theme": theme_of(request), "trap": _TRAP}, request)
    return _unlisted(HttpResponse(text.encode("utf-8", "backslashreplace"), status=status))


def _unlisted(response: HttpResponse) -> HttpResponse:
    """Mark an answer as one that no cache keeps and no search engine lists."""
    response.headers["X-Robots-Tag"] = "noindex, nofollow"
    response.headers["Cache-Control"] = "private, no-store"
    return response
