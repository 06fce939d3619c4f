"""Files in a run's values, to be taken away: what somebody else made is never shown as a page of ours."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from integrations.registry import registry
from integrations.sdk.files import FORMAT, clean_name, is_file
from orchestrator import jsongate
from orchestrator.errors import NotFound
from orchestrator.jsontree import joined
from orchestrator.tenants.access import Actor, get_for_tenant_or_404, tenant_page
from orchestrator.tenants.shell import private
from orchestrator.types import JSONValue
from runs import selectors
from runs.models import Run, StepRun
from runs.pages.entries import entry_at
from runs.pages.values import Value
from runs.paths import is_path

FILES_SHOWN: Final = 20
_ENTRIES_LOOKED_AT: Final = 2_000
_SIDES: Final = ("input", "output")


@dataclass(frozen=True, kw_only=True)
class FileLink:
    """A file that a value holds; ``size`` is None where the value was not looked into."""

    name: str
    size: int | None
    url: str


def with_files(values: tuple[Value, ...], run: Run, row: StepRun) -> tuple[Value, ...]:
    """Return the values of an attempt with links to the files in them."""
    return tuple(replace(value, files=tuple(_links(value, run, row))) for value in values)


def _links(value: Value, run: Run, row: StepRun) -> Iterator[FileLink]:
    if value.name not in _SIDES or value.missing:
        return
    if value.is_here:
        found = [(path, clean_name(str(file["name"])), int(file["size"])) for path, file in files_in(value.value)]
        for path, name, size in found:
            yield FileLink(name=name, size=size, url=_url(run, row, value.name, path))
    elif value.name == "output":
        # Too large to be looked into for a page: what the action says that it gives.
        for path in _declared(row.action):
            yield FileLink(name=f"{row.key}.{path}" if path else row.key, size=None, url=_url(run, row, "output", path))


def files_in(value: JSONValue) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the first files in a value with their paths, looking at so many entries at the most."""
    found: list[tuple[str, Mapping[str, Any]]] = []
    left = _ENTRIES_LOOKED_AT
    stack: list[tuple[str, Any]] = [("", value)]
    while stack and left > 0 and len(found) < FILES_SHOWN:
        path, each = stack.pop()
        left -= 1
        if is_file(each):
            found.append((path, each))
            continue
        inside = each.items() if isinstance(each, dict) else enumerate(each) if isinstance(each, list) else ()
        children = [(joined(path, key), child) for key, child in inside if isinstance(child, (dict, list))]
        stack += reversed(children[:left])
    return found


def _declared(action: str) -> Iterator[str]:
    """Yield the paths at which an action's output has files, of its first level."""
    declared = registry.get(action)
    schema = (declared.output_json_schema() if declared is not None else None) or {}
    if schema.get("format") == FORMAT:
        yield ""
    for name, part in schema.get("properties", {}).items():
        options = (part, *part.get("anyOf", ()))
        named = [str(option.get("$ref", "")).rpartition("/")[2] for option in options]
        if any(schema.get("$defs", {}).get(each, {}).get("format") == FORMAT for each in named):
            yield joined("", name)


def _url(run: Run, row: StepRun, side: str, path: str) -> str:
    query = {"step": row.path, "attempt": row.attempt, "value": side, "at": path}
    return f"{reverse('run-file', args=[run.tenant.slug, run.pk])}?{urlencode(query)}"


@require_safe
@tenant_page()
def run_file(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Return an entry of what went into an attempt or came out of it: a file as such, anything else as JSON."""
    run = get_for_tenant_or_404(Run, actor.tenant, pk=pk)
    row, side = _row(run, request.GET.get("step", ""), request.GET.get("attempt", "")), request.GET.get("value", "")
    if row is None or side not in _SIDES:
        raise NotFound(_("This run has no such value."))
    inline, ref = (row.inputs, row.inputs_ref) if side == "input" else (row.output, row.output_ref)
    value = inline if ref is None else selectors.payload_value(run, ref)
    found, is_there = entry_at(value, request.GET.get("at", ""))
    if not is_there:
        raise NotFound(_("There is no such entry in this value."))
    name, data = _taken(found, row)
    response = HttpResponse(data, content_type="application/octet-stream")
    response.headers["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return private(response)


def _row(run: Run, path: str, attempt: str) -> StepRun | None:
    rows = selectors.step_rows(run, path=path if is_path(path) else "-")
    number = int(attempt) if attempt.isascii() and attempt.isdigit() and len(attempt) < 6 else None
    return (rows if number is None else rows.filter(attempt=number)).last()


def _taken(found: JSONValue, row: StepRun) -> tuple[str, bytes]:
    """Return a name and the bytes of what is taken away."""
    if isinstance(found, dict) and is_file(found):
        try:
            # Nobody says that it was made by FileValue, which knows no other names.
            return clean_name(str(found["name"])), base64.b64decode(str(found["base64"]), validate=True)
        except ValueError:
            pass
    return f"{row.key}-{row.attempt}.json", jsongate.dump_bytes(found)
