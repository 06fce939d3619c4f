"""Nobody imports upward: the layers of the house, held by its import statements."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from django.conf import settings

ROOT: Final = Path(settings.BASE_DIR)
# The longest prefix counts. A module may import its own layer and those below.
LAYERS: Final = {
    # 0: standard library, pydantic and httpx; the sandbox its engines.
    "integrations.sdk": 0, "integrations.sandbox": 0, "integrations.words": 0,
    "integrations.findings": 0, "integrations.google": 0, "integrations.addresses": 0,
    "integrations.mails": 0, "integrations.mail_fields": 0, "integrations.microsoft": 0,
    "orchestrator.flow": 0, "orchestrator.errors": 0,
    "orchestrator.types": 0, "orchestrator.env": 0, "orchestrator.ids": 0, "orchestrator.jsongate": 0,
    "orchestrator.large": 0, "orchestrator.env_mail": 0, "orchestrator.languages": 0,
    "orchestrator.env_otel": 0, "orchestrator.env_prices": 0, "orchestrator.env_urls": 0, "orchestrator.env_values": 0,
    "orchestrator.words": 0, "orchestrator.icons": 0, "orchestrator.drawings": 0, "orchestrator.jsontree": 0,
    "orchestrator.uploads": 0, "orchestrator.watching": 0,
    "orchestrator.supervise": 0, "orchestrator.server": 0, "orchestrator.fields": 0, "orchestrator.logs": 0,
    "orchestrator.absent": 0,
    "orchestrator.egress": 0, "orchestrator.prices": 0, "orchestrator.assets": 0, "orchestrator": 0,
    "integrations": 0, "runs": 0,
    # 1
    "integrations.providers": 1, "integrations.builtin": 1,
    # 2
    "integrations.registry": 2, "orchestrator.tenants": 2, "runs.engine": 2, "runs.states": 2,
    # 3
    "orchestrator.workflows": 3, "orchestrator.vault": 3,
    "orchestrator.alerts": 3, "orchestrator.alerts.pages": 6, "orchestrator.alerts.forms": 6,
    "orchestrator.tenants.token_pages": 6, "orchestrator.tenants.setting_pages": 6,
    "orchestrator.tenants.member_pages": 6, "orchestrator.tenants.invitation_pages": 6,
    "orchestrator.tenants.join_pages": 6, "orchestrator.tenants.invitation_api": 6,
    "orchestrator.tenants.audit_pages": 6, "orchestrator.tenants.audit_api": 6,
    "orchestrator.tenants.account_pages": 6, "orchestrator.tenants.sessions": 2,
    "orchestrator.tenants.second_factor": 3, "orchestrator.tenants.factor_pages": 6, "orchestrator.tenants.qr": 2,
    "orchestrator.tenants.oidc": 2, "orchestrator.tenants.id_tokens": 2, "orchestrator.tenants.sign_on_sessions": 2,
    "orchestrator.tenants.sign_on_domains": 2,
    "orchestrator.tenants.single_sign_on": 3, "orchestrator.tenants.sign_on_people": 3,
    "orchestrator.tenants.sso_pages": 6, "orchestrator.tenants.sso_account": 6,
    "orchestrator.tenants.sso_setting_pages": 6,
    "orchestrator.workflows.api_portable": 6,
    "orchestrator.workflows.api_variables": 6,
    "orchestrator.vault.sign_in_pages": 6, "orchestrator.vault.saved": 6,
    "orchestrator.vault.pages": 6, "orchestrator.vault.listing": 6, "orchestrator.vault.connecting": 6,
    # 4
    "runs.models": 4, "runs.journal": 4, "runs.doorbell": 4, "runs.writes": 4, "runs.writer": 4, "runs.values": 4,
    "runs.bell": 4, "runs.notices": 4, "runs.mailbox": 4, "runs.looks": 4,
    "runs.clock": 4, "runs.slots": 4, "runs.claims": 4, "runs.overtime": 4, "runs.owners": 4,
    "runs.plans": 4, "runs.migrations": 4,
    "runs.endings": 4, "runs.limits": 4, "runs.links": 4, "runs.calls": 4, "runs.rows": 4, "runs.inserts": 4,
    "runs.gate_rows": 4, "runs.gates": 5, "runs.state_rows": 4, "runs.state": 5,
    "runs.tracing": 4, "runs.spans": 4, "runs.traceparents": 2,
    # 5
    "runs.schedules": 5, "runs.polls": 5, "runs.poll_rows": 5, "runs.poll_context": 5,
    "runs.rounds": 5, "runs.subscriptions": 5, "runs.subscription_rows": 5, "runs.subscription_secrets": 5,
    "runs.subscription_state": 5, "runs.clients": 5, "runs.look_gates": 5,
    "runs.reruns": 5, "runs.services": 5, "runs.selectors": 5, "runs.driver": 5, "runs.drive": 5, "runs.heartbeat": 5,
    "runs.orders": 5,
    "runs.adapters": 5, "runs.sweeper": 5, "runs.ticker": 5, "runs.overview": 5, "runs.questions": 5,
    "runs.credentials": 5, "runs.export": 5, "runs.rates": 5, "runs.restoring": 5,
    "runs.listing": 5, "runs.search": 5, "runs.histogram": 5, "runs.bulk": 5, "runs.saved": 5,
    "runs.outline": 5, "runs.asked": 5, "runs.answers": 5, "runs.paths": 5, "runs.attempts": 5, "runs.loops": 5,
    "runs.logs": 5, "runs.usage": 5, "runs.patience": 5, "runs.failures": 5,
    "runs.alerts": 5, "runs.alert_looks": 5, "runs.alert_facts": 5, "runs.alert_causes": 5,
    "runs.alert_triggers": 5,
    "runs.warmth": 5, "runs.watches": 5, "runs.checks": 5, "runs.samples": 5,
    "runs.sample_rows": 4, "runs.tasks": 6, "runs.cluster": 6,
    # 6: faces
    "runs.views": 6, "runs.list_views": 6,
    "runs.saved_views": 6, "runs.urls": 6, "runs.hook_urls": 6, "runs.answer_urls": 6, "runs.api": 6,
    "runs.api_bulk": 6, "runs.api_filters": 6, "runs.api_rates": 6,
    "runs.admin": 6, "runs.pages": 6,
    "runs.triggers": 6, "runs.approvals": 6, "runs.apps": 6,
    "orchestrator.mcp": 6,
    "orchestrator.builder": 6, "orchestrator.api": 6, "orchestrator.templatetags": 6, "orchestrator.errorpages": 6,
    "orchestrator.middleware": 6, "orchestrator.health": 6, "orchestrator.health_urls": 6, "orchestrator.metrics": 6,
    "orchestrator.metrics_urls": 6, "orchestrator.doctor": 7,
    # 7: the composition root
    "orchestrator.settings": 7, "orchestrator.urls": 7, "orchestrator.admin": 7, "orchestrator.checks": 7,
    "orchestrator.apps": 7, "orchestrator.bootstrap": 7, "orchestrator.management": 7, "orchestrator.wsgi": 7,
    "orchestrator.lazy_urls": 0, "orchestrator.page_urls": 7, "orchestrator.admin_urls": 7,
}  # fmt: skip
# Faces that live in their app: a module of this name is layer 6 wherever it is.
FACES: Final = {"views", "urls", "api", "admin", "admin_base", "admin_forms", "admin_reach", "admin_scope", "forms"}
FACES |= {"admin_site", "shell", "apps"}
# What is used by everybody, whatever its own layer.
OF_ALL: Final = {"orchestrator.words"}
# An app's own classes for the API's description are read by its migrations and settings by name alone.
NO_DJANGO: Final = ("integrations.sdk", "integrations.sandbox", "integrations.providers", "integrations.builtin")


def modules() -> Iterator[tuple[str, Path]]:
    for package in ("orchestrator", "integrations", "runs"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if "migrations" in path.parts or "examples" in path.parts:
                continue
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), path


@cache
def imports(path: Path) -> frozenset[str]:
    """Return every module that a file names in an import statement."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return frozenset(found)


def layer(module: str) -> int | None:
    """Return the layer of one of our modules, None for others."""
    parts = module.split(".")
    if parts[0] not in ("orchestrator", "integrations", "runs"):
        return None
    if len(parts) == 3 and parts[2] in FACES and parts[0] == "orchestrator" and parts[1] != "flow":
        return 6
    for length in range(len(parts), 0, -1):
        prefix = ".".join(parts[:length])
        if prefix in LAYERS:
            return LAYERS[prefix]
    return None


def test_every_module_has_a_layer() -> None:
    assert [name for name, _ in modules() if layer(name) is None or (name.count(".") and _is_only_root(name))] == []


def _is_only_root(name: str) -> bool:
    """Whether a module is in no layer but that of the bare package."""
    parts = name.split(".")
    if len(parts) == 3 and parts[2] in FACES:
        return False
    return not any(".".join(parts[:length]) in LAYERS for length in range(len(parts), 1, -1))


def test_nobody_imports_upward() -> None:
    wrong = []
    for name, path in modules():
        own = layer(name)
        assert own is not None
        for other in imports(path):
            above = layer(other)
            if above is not None and above > own and _is_module(other) and other not in OF_ALL:
                wrong.append(f"{name} (layer {own}) imports {other} (layer {above})")
    assert wrong == []


@cache
def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def test_the_domain_apps_do_not_know_runs() -> None:
    wrong = [
        f"{name} imports {other}"
        for name, path in modules()
        for other in imports(path)
        if name.startswith(
            (
                "orchestrator.tenants",
                "orchestrator.vault",
                "orchestrator.flow",
                "orchestrator.workflows",
                "orchestrator.alerts",
            )
        )
        and other.split(".")[0] == "runs"
    ]
    assert wrong == []


def test_the_pure_layers_know_no_django() -> None:
    pure = (
        *NO_DJANGO,
        "integrations.words",
        "integrations.findings",
        "orchestrator.flow",
        "runs.engine",
        "runs.states",
    )
    wrong = [
        f"{name} imports {other}"
        for name, path in modules()
        for other in imports(path)
        if name.startswith(pure) and other.split(".")[0] in ("django", "rest_framework", "django_q")
    ]
    assert wrong == []


def test_the_sdk_needs_little() -> None:
    # aiohttp's transport speaks in yarl's addresses.
    packages = {"pydantic", "pydantic_core", "httpx", "aiohttp", "yarl", "integrations", "orchestrator"}
    allowed = {*packages, *sys.stdlib_module_names}
    wrong = [
        f"{name} imports {other}"
        for name, path in modules()
        for other in imports(path)
        if name.startswith("integrations.sdk") and other.split(".")[0] not in allowed
    ]
    assert wrong == []
    upward = [
        f"{name} imports {other}"
        for name, path in modules()
        for other in imports(path)
        if name.startswith("integrations.sdk") and other.split(".")[0] == "orchestrator"
    ]
    assert upward == []


def test_a_provider_knows_no_other() -> None:
    wrong = []
    for name, path in modules():
        parts = name.split(".")
        if parts[:2] != ["integrations", "providers"] or len(parts) < 3:
            continue
        for other in imports(path):
            theirs = other.split(".")
            if theirs[:2] == ["integrations", "providers"] and len(theirs) > 2 and theirs[2] != parts[2]:
                wrong.append(f"{name} imports {other}")
    assert wrong == []


def test_one_module_knows_django_q() -> None:
    knows = {name for name, path in modules() if any(other.split(".")[0] == "django_q" for other in imports(path))}
    assert knows == {"runs.doorbell"}
