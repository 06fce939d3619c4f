"""A tenant's workflows as tools: which there are, what each takes, and a run of one."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from orchestrator import jsongate
from orchestrator.api.idempotency import NO_KEY, REUSED, Answer, made_once
from orchestrator.errors import Invalid, NotFound, ServiceError
from orchestrator.flow.json_schemas import schema_problems, value_problems
from orchestrator.flow.names import TriggerType
from orchestrator.tenants.access import Actor, get_for_tenant_or_404
from orchestrator.tenants.models import Tenant
from orchestrator.tenants.permissions import require_operation
from orchestrator.types import JSONValue
from orchestrator.workflows.models import Trigger, Workflow
from runs import selectors, services
from runs.models import Run
from runs.patience import wait_for_end
from runs.states import RunStatus

ADDRESS: Final = "/mcp"
GET_RUN: Final = "get_run"
PAYLOAD: Final = "payload"
# Below the minute after which clients give up by themselves.
PATIENCE_SECONDS: Final = 45.0
# Of an output that is answered whole; it stands in an answer twice.
MOST_BYTES: Final = 256 * 1024
_KINDS: Final = (TriggerType.WORKFLOW.value, TriggerType.MANUAL.value)
_MOST_PROBLEMS: Final = 20
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,99}")
_NUMBERS: Final = re.compile(r"(_[0-9]+)+\Z")
# Of a slug that begins with a digit, which no name does.
_PREFIXED: Final = re.compile(r"w_[0-9]")

_GET_RUN: Final[Mapping[str, Any]] = {
    "name": GET_RUN,
    "title": "Look at a run",
    "description": "What became of a run that had not ended when it was started: its output, its error, or its status.",
    "inputSchema": {
        "type": "object",
        "properties": {
            "run_id": {"type": "string", "description": "The run's id, as the tool that started it gave it."},
            "wait": {
                "type": "number",
                "minimum": 0,
                "maximum": PATIENCE_SECONDS,
                "description": "Seconds to wait for its end.",
            },
        },
        "required": ["run_id"],
        "additionalProperties": False,
    },
}


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A workflow that can be called. ``wrapped``: what it takes is no object, so it stands in one as ``payload``."""

    name: str
    workflow_id: int
    title: str
    description: str
    input_schema: Mapping[str, Any]
    wrapped: bool

    def as_document(self) -> dict[str, Any]:
        """Return the tool as ``tools/list`` gives it."""
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": dict(self.input_schema),
        }


def tool_documents(tenant: Tenant) -> list[dict[str, Any]]:
    """Return what ``tools/list`` answers, in a fixed order; one query."""
    return [dict(_GET_RUN), *(tool.as_document() for tool in tools_of(tenant))]


def tools_of(tenant: Tenant) -> list[Tool]:
    """Return the workflows that are published and on, and can be called or started by hand; one query."""
    return _tools(_callable(tenant))


def tool_named(tenant: Tenant, name: str) -> Tool | None:
    """Return the tool of this name, None where there is none; one query of those whose names could meet."""
    if not _NAME.fullmatch(name):
        return None
    # A number at the end may be the slug's own, or be there because the name without it was taken.
    root = _NUMBERS.sub("", name)
    slugs = rf"^{root.replace('_', '-')}(-[0-9]+)*$"
    if root == "w":
        slugs += r"|^[0-9]+(-[0-9]+)*$"
    elif _PREFIXED.match(root):
        slugs += rf"|^{root[2:].replace('_', '-')}(-[0-9]+)*$"
    near = _tools(_callable(tenant).filter(workflow__slug__regex=slugs))
    return next((tool for tool in near if tool.name == name), None)


def _callable(tenant: Tenant) -> QuerySet[Trigger]:
    return Trigger.objects.for_tenant(tenant).filter(
        type__in=_KINDS,
        live_config__isnull=False,
        workflow__enabled=True,
        workflow__published_version__isnull=False,
    )


def _tools(rows: QuerySet[Trigger]) -> list[Tool]:
    rows = rows.select_related("workflow").only(
        "type", "live_config", "workflow__slug", "workflow__name", "workflow__description"
    )
    found: dict[int, Trigger] = {}
    for row in rows.order_by("workflow__slug", "position", "pk"):
        # One that says what it takes counts more than a button.
        if row.workflow_id not in found or row.type == TriggerType.WORKFLOW:
            found[row.workflow_id] = row
    taken = {GET_RUN}
    return [_tool(row, taken) for row in found.values()]


def _tool(trigger: Trigger, taken: set[str]) -> Tool:
    workflow = trigger.workflow
    schema = (trigger.live_config or {}).get("input") if trigger.type == TriggerType.WORKFLOW else None
    if not isinstance(schema, dict) or any(schema_problems(schema)):
        schema = {"type": "object"}
    wrapped = schema.get("type") != "object"
    if wrapped:
        # References begin at the root, so what they lead to stays there.
        kept = {"$defs": schema["$defs"]} if "$defs" in schema else {}
        inner = {word: value for word, value in schema.items() if word != "$defs"}
        schema = {"type": "object", "properties": {PAYLOAD: inner}, "required": [PAYLOAD], **kept}
    return Tool(
        name=_name(workflow.slug, taken),
        workflow_id=workflow.pk,
        title=workflow.name,
        description=workflow.description.strip() or f"Runs the workflow “{workflow.name}”.",
        input_schema=schema,
        wrapped=wrapped,
    )


def _name(slug: str, taken: set[str]) -> str:
    """Return a name of letters, digits and underscores that no other tool has; the slug's own wherever that is free."""
    base = slug.replace("-", "_")
    base = base if base[0].isalpha() else f"w_{base}"
    name, number = base, 2
    while name in taken:
        name, number = f"{base}_{number}", number + 1
    taken.add(name)
    return name


def call_tool(
    actor: Actor, name: str, arguments: Mapping[str, JSONValue], *, deadline: float, key: str | None = None
) -> dict[str, Any] | None:
    """Return the result of a call, None where there is no such tool. What is refused is a result that is an error.

    ``deadline`` is when it is answered at the latest, by ``time.monotonic()``. ``key`` is the Idempotency-Key: the same
    call under it starts no second run. Raises Conflict where it came with another call.
    """
    try:
        if name == GET_RUN:
            return _look(actor, arguments, deadline)
        tool = tool_named(actor.tenant, name)
        return None if tool is None else _start(actor, tool, arguments, deadline, key)
    except ServiceError as error:
        if error.code in (REUSED, NO_KEY):
            raise
        return _refusal(error.message)


def _start(
    actor: Actor, tool: Tool, arguments: Mapping[str, JSONValue], deadline: float, key: str | None
) -> dict[str, Any]:
    require_operation(actor, "run.start")

    def make() -> Answer:
        return Answer(status=202, data={"id": _started(actor, tool, arguments).pk})

    body = {"name": tool.name, "arguments": dict(arguments)}
    answer = make() if key is None else made_once(actor, path=ADDRESS, key=key, body=body, make=make)
    wait_for_end(actor.tenant, answer.data["id"], max(0.0, deadline - time.monotonic()))
    return run_result(get_for_tenant_or_404(Run, actor.tenant, pk=answer.data["id"]))


def _started(actor: Actor, tool: Tool, arguments: Mapping[str, JSONValue]) -> Run:
    problems = value_problems(dict(arguments), tool.input_schema)[:_MOST_PROBLEMS]
    if problems:
        told = "\n".join(f"{path or 'arguments'}: {message}" for path, message in problems)
        refused = _("No run was started: the arguments do not fit what %(tool)s takes.") % {"tool": tool.name}
        raise Invalid(f"{refused}\n{told}")
    workflow = get_for_tenant_or_404(Workflow, actor.tenant, pk=tool.workflow_id)
    payload = arguments.get(PAYLOAD) if tool.wrapped else dict(arguments)
    return services.run_start_by_actor(actor=actor, workflow=workflow, payload=payload)


def _look(actor: Actor, arguments: Mapping[str, JSONValue], deadline: float) -> dict[str, Any]:
    require_operation(actor, "run.read")
    problems = value_problems(dict(arguments), _GET_RUN["inputSchema"])
    if problems:
        path, message = problems[0]
        return _refusal(f"{path or 'arguments'}: {message}")
    text, wait = str(arguments["run_id"]), arguments.get("wait", 0)
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise NotFound(_("There is no run with this id."))
    run = get_for_tenant_or_404(Run, actor.tenant, pk=int(text))
    if wait and not RunStatus(run.status).is_terminal:
        seconds = min(float(wait), deadline - time.monotonic())  # type: ignore[arg-type]
        wait_for_end(actor.tenant, run.pk, max(0.0, seconds))
        run = run.refresh()
    return run_result(run)


def run_result(run: Run) -> dict[str, Any]:
    """Return what a run gives as a tool's result: its output, why it failed, or how to look again."""
    status, at = RunStatus(run.status), {"run_id": str(run.pk), "status": run.status}
    if status is RunStatus.SUCCEEDED:
        return _output(run)
    if not status.is_terminal:
        waiting = run.waiting_for if status is RunStatus.WAITING else None
        said = f"The run {run.pk} has not ended: it is {status.value}."
        if waiting:
            said += f" It waits for {waiting.get('kind')} at {waiting.get('path')}."
        said += f' Look again with {GET_RUN} and {{"run_id": "{run.pk}"}}.'
        return _result(said, {**at, **({"waiting_for": waiting} if waiting else {})})
    error = run.error or {}
    message = str(error.get("message") or "The run was stopped.")
    hint = str(error.get("hint") or "")
    told = {key: error[key] for key in ("kind", "message", "hint") if error.get(key)}
    text = " ".join(part for part in (f"The run {run.pk} {status.value}: {message}", hint) if part)
    return _result(text, {**at, "error": told}, is_error=True)


def _output(run: Run) -> dict[str, Any]:
    output = run.output
    if run.output_ref is not None:
        size, pieces = selectors.payload_pieces(run, run.output_ref)
        if size > MOST_BYTES:
            url = f"/api/v1/runs/{run.pk}/values/{run.output_ref}/"
            said = f"The run {run.pk} succeeded. Its output has {size:,} bytes: read it at {url}."
            return _result(said, {"run_id": str(run.pk), "truncated": True, "size": size, "url": url})
        output = jsongate.parse(b"".join(pieces))
    text = output if isinstance(output, str) else jsongate.dumps(output)
    return _result(text, output if isinstance(output, dict) else {"output": output})


def _refusal(message: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": message}], "isError": True}


def _result(text: str, structured: Mapping[str, JSONValue], *, is_error: bool = False) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], "structuredContent": dict(structured), "isError": is_error}
