"""The reference of the SDK: a page with every kind of field as it is drawn, and the whole of it as one text."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from integrations.sdk import RunContext
from orchestrator.builder import highlight, step_form
from orchestrator.builder.examples import fields, orders
from orchestrator.builder.reference import auth_rows, error_rows, in_words
from orchestrator.builder.sdk_text import helper_names, sdk_text, signature
from orchestrator.tenants.access import Actor, tenant_page
from orchestrator.tenants.shell import page, private
from orchestrator.words import kept_by_language


@dataclass(frozen=True, kw_only=True)
class FieldExample:
    """A field as it is declared, and as it is drawn from that."""

    html: SafeString
    field: step_form.Field


@dataclass(frozen=True, kw_only=True)
class Helper:
    """Something of the test helpers: how it is called and what it does."""

    name: str
    signature: str
    words: str


@require_safe
@tenant_page()
def reference(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show the reference of the SDK."""
    return page(request, actor, "developers/reference.html", {**_reference()}, nav="developers")


@require_safe
@tenant_page()
def reference_text(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Return the whole SDK as one text."""
    return private(HttpResponse(sdk_text(), content_type="text/plain; charset=utf-8"))


@kept_by_language(maxsize=8)
def _reference() -> Mapping[str, Any]:
    return {
        "examples": _field_examples(),
        "triggers": highlight.python(inspect.getsource(orders)),
        "auth_kinds": auth_rows(),
        "errors": error_rows(),
        "helpers": [_helper(name, value) for name, value in helper_names()],
        "context": in_words(inspect.getdoc(RunContext) or "").split("\n\n"),
        "text": sdk_text(),
    }


def _field_examples() -> list[FieldExample]:
    source = inspect.getsource(fields)
    declared = next(node for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
    code = {
        node.target.id: ast.get_source_segment(source, node) or ""
        for node in declared.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    drawn = step_form.fields(fields.EveryField.model_json_schema(), {})
    return [FieldExample(html=highlight.python(code[field.name]), field=field) for field in drawn]


def _helper(name: str, value: Any) -> Helper:
    return Helper(name=name, signature=signature(name, value), words=in_words(inspect.getdoc(value) or ""))
