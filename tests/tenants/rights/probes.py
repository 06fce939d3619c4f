"""Where a request may name an object beside its address: queries and bodies, filled with another tenant's objects."""

from __future__ import annotations

from typing import Any, Final

# Sent to every address that is read: each parameter that names an object somewhere.
QUERIES: Final = (
    "workflow=$workflow&run=$run&runs=$run&with=$run&testing=$run&tenant=$tenant_id&credential=$credential",
    "q=$workflow&owner=$user&actor=$user&for=$tenant&tenant__exact=$tenant_id",
)
_FLOW: Final = "w/<slug:tenant>/workflows/<int:pk>/"
_STEP: Final = f"{_FLOW}steps/<key:key>/"
# Answered as if what is named had never been.
READ_WITH: Final = (
    ("w/<slug:tenant>/runs/", "workflow=$workflow"),
    ("w/<slug:tenant>/runs/", "q=$run"),
    ("w/<slug:tenant>/search/", "q=$run"),
    ("w/<slug:tenant>/search/", "q=$workflow"),
    ("w/<slug:tenant>/runs/<int:pk>/compare/", "with=$run"),
    ("w/<slug:tenant>/settings/audit/", "older=$event"),
    (f"{_FLOW}test/requests/", "runs=$run"),
    (_STEP, "run=$run"),
    (_STEP, "testing=$run"),
    (f"{_STEP}compare/", "testing=$run"),
    ("api/v1/runs/", "workflow=$workflow"),
    ("api/v1/runs/", "q=$run"),
    ("api/v1/runs/export/", "workflow=$workflow"),
    ("api/v1/triggers/", "workflow=$workflow"),
    ("api/v1/audit/", "target=workflow:$workflow"),
    ("api/v1/audit/export/", "target=workflow:$workflow"),
    ("api/v1/audit/export/", "cursor=$event"),
    ("admin/workflows/workflow/", "tenant=$tenant_id"),
    ("admin/workflows/workflowversion/", "workflow=$workflow"),
    ("admin/runs/run/", "workflow=$workflow"),
    ("admin/runs/run/", "q=$run"),
    ("admin/runs/savedview/", "workflow=$workflow"),
)
_STEPS: Final = [
    {"key": "tell", "action": "slack.sendMessage", "credential": "quokka slack", "config": {"inputs": {}}},
    {"key": "call", "action": "workflow.call", "config": {"inputs": {"workflow": "$alone"}}},
    {"key": "read", "action": "data.set", "config": {"inputs": {"values": {"a": "{{ vars.who }}"}}}},
]
_DOCUMENT: Final[dict[str, Any]] = {
    "name": "Names theirs", "steps": _STEPS, "settings": {"error_workflow": "$alone"},
    "triggers": [{"key": "on", "type": "error", "config": {"workflows": ["$alone"]}},
                 {"key": "poll", "type": "polling",
                  "config": {"trigger": "rss.newItem", "inputs": {}, "credential": "quokka key"}}],
}  # fmt: skip
FORMS: Final[tuple[tuple[str, str, Any], ...]] = (
    (f"{_FLOW}data/choose/", "POST", {"use": "run-$run"}),
    (f"{_FLOW}data/choose/", "POST", {"use": "sample-$sample"}),
    (f"{_FLOW}test/requests/", "POST", {"use": ["sample-$sample", "run-$run"]}),
    (f"{_FLOW}settings/", "POST", {"name": "Renamed", "slug": "renamed", "error_workflow": "$alone"}),
    (_STEP, "POST", {"name": "Renamed", "credential": "quokka slack", "then": "test"}),
    (_STEP, "POST", {"name": "Renamed", "run": "$run", "then": "again"}),
    ("w/<slug:tenant>/runs/bulk/", "POST", {"do": "stop", "run": ["$run", "$waiting"]}),
    ("w/<slug:tenant>/runs/bulk/", "POST", {"do": "again", "run": ["$ended"]}),
    ("w/<slug:tenant>/runs/export/", "POST", {"run": ["$run", "$ended"]}),
    ("w/<slug:tenant>/runs/views/", "POST", {"name": "Theirs", "query": "workflow=$workflow"}),
    ("w/<slug:tenant>/credentials/<int:pk>/replace/", "POST", {"by": "$spare"}),
    ("w/<slug:tenant>/credentials/new/", "POST", {
        "provider": "slack", "name": "New", "secret-token": "xoxb-1",
        "next": "/w/$tenant/workflows/$workflow/steps/tell/",
    }),
    ("api/v1/workflows/", "POST", _DOCUMENT),
    ("api/v1/workflows/import/", "POST", _DOCUMENT),
    ("api/v1/workflows/<str:pk>/", "PUT", _DOCUMENT),
    ("api/v1/runs/bulk/", "POST", {"action": "cancel", "filter": {"workflow": "$workflow"}}),
    ("api/v1/runs/bulk/", "POST", {"action": "delete", "filter": {"workflow": "$workflow"}}),
    ("api/v1/runs/bulk/", "POST", {"action": "cancel", "filter": {}, "cursor": "1-$run"}),
    ("api/v1/runs/<str:pk>/rerun/", "POST", {"from": "first", "payload": {"run": "$run"}}),
    ("admin/workflows/workflow/add/", "POST", {
        "tenant": "$tenant_id", "name": "Theirs", "settings": "{}", "output": "",
        "steps-TOTAL_FORMS": "1", "steps-INITIAL_FORMS": "0", "triggers-TOTAL_FORMS": "0",
        "triggers-INITIAL_FORMS": "0", "steps-0-key": "a", "steps-0-action": "http.request",
        "steps-0-credential": "$bearer",
    }),
    ("admin/vault/credential/add/", "POST", {
        "tenant": "$tenant_id", "name": "x", "provider": "http", "auth_type": "bearer_token",
        "secret": '{"token": "x"}',
    }),
    ("admin/tenants/membership/add/", "POST", {"tenant": "$tenant_id", "username": "acme-owner", "role": "owner"}),
    ("admin/tenants/apitoken/add/", "POST", {"tenant": "$tenant_id", "name": "x", "scopes": ["admin"]}),
)  # fmt: skip
