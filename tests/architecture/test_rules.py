"""Rules that no type says: who may read a secret, who may leave the tenant out, what a template must not hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from django.apps import apps
from django.conf import settings

from orchestrator.admin import site
from orchestrator.tenants.scoping import TenantOwned

ROOT: Final = Path(settings.BASE_DIR)
SOURCES: Final = ("orchestrator", "integrations", "runs")
# Who opens sealed bytes, and for what.
OPENS: Final = {
    "orchestrator/vault/crypto.py": "the function itself",
    "orchestrator/vault/services.py": "resolve_credential, the one reader of credentials",
    "orchestrator/workflows/addresses.py": "a webhook's address, for those who may read it",
    "orchestrator/api/idempotency.py": "an answer of the API that is given again",
    "runs/subscription_secrets.py": "the secret that a provider shares, to check its requests and to tell it",
    "orchestrator/alerts/targets.py": "where an alert is posted to, and what signs it",
    "orchestrator/tenants/second_factor.py": "a second factor's secret, to compare codes and to show at its set-up",
    "orchestrator/tenants/single_sign_on.py": "a client's secret, to redeem codes at the tenant's own provider",
}
# Who queries without a tenant, and why that is right.
UNSCOPED: Final = {
    "orchestrator/tenants/scoping.py": "the manager itself",
    "orchestrator/tenants/access.py": "finds a token by its hash, before the tenant is known",
    "orchestrator/tenants/selectors.py": "who still may act, for runs of all tenants at once",
    "orchestrator/tenants/services.py": "inserts, with the tenant on the row",
    "orchestrator/tenants/invitations.py": "finds an invitation by its hash, before the tenant is known",
    "orchestrator/tenants/second_factor.py": "which tenants a person belongs to, for their audit logs",
    "orchestrator/tenants/single_sign_on.py": "finds a provider by a slug or a domain, before anybody is signed in",
    "orchestrator/tenants/sign_on_domains.py": "which tenant a domain leads to; an operator's list; inserts",
    "orchestrator/tenants/sign_on_people.py": "a person's own links in all their tenants; inserts",
    "orchestrator/tenants/sso_pages.py": "whether a person belongs to the tenant of an address",
    "orchestrator/tenants/audit.py": "inserts, with the tenant on the row",
    "orchestrator/tenants/admin_base.py": "the admin, scoped by what a person reaches",
    "orchestrator/tenants/admin_reach.py": "which tenants a person reaches",
    "orchestrator/tenants/admin_scope.py": "the admin, scoped by what a person reaches",
    "orchestrator/tenants/admin_site.py": "the admin, scoped by what a person reaches",
    "orchestrator/vault/sign_ins.py": "finds a sign-in by its state's hash, before the tenant is known",
    "orchestrator/vault/checks.py": "what of all tenants is to be checked, or ends soon",
    "orchestrator/alerts/services.py": "inserts, with the tenant on the row",
    "orchestrator/alerts/deliveries.py": "inserts, and what of all tenants is to be sent",
    "orchestrator/alerts/composing.py": "inserts, with the tenant on the row",
    "orchestrator/workflows/admin.py": "the admin, scoped by what a person reaches",
    "orchestrator/workflows/admin_forms.py": "the admin, scoped by what a person reaches",
    "orchestrator/workflows/api.py": "prefetches of rows that are the tenant's",
    "orchestrator/workflows/publishing.py": "inserts, with the tenant on the row",
    "orchestrator/workflows/selectors.py": "prefetches of rows that are the tenant's",
    "orchestrator/api/idempotency.py": "forgets old answers of all tenants",
    "orchestrator/doctor.py": "the operator's checks",
    "orchestrator/health.py": "whether anybody's run waits",
    "orchestrator/metrics.py": "how much waits and runs, over all tenants",
    "runs/alert_facts.py": "what alerts of all tenants are about",
    "runs/alert_triggers.py": "which triggers of all tenants alerts are about",
    "runs/alert_looks.py": "which tenants have a channel, each written within its own",
    "runs/gate_rows.py": "forgets old gates of all tenants",
    "runs/claims.py": "drivers serve every tenant",
    "runs/plans.py": "a table's name alone, beside the tenant in the query",
    "runs/limits.py": "drivers serve every tenant",
    "runs/endings.py": "what follows from the end of runs of every tenant, each within its own",
    "runs/calls.py": "inserts, with the tenant on the row",
    "runs/tracing.py": "runs of every tenant that end without a driver, each told of by itself",
    "runs/writes.py": "drivers serve every tenant, under a fence",
    "runs/rows.py": "inserts, with the tenant on the row",
    "runs/sweeper.py": "retention and dead drivers of all tenants",
    "runs/watches.py": "versions of all tenants that may go back, each looked at within its own",
    "runs/doorbell.py": "whether anybody's run waits",
    "runs/schedules.py": "the slots of all tenants, each within its own",
    "runs/poll_rows.py": "the polls of all tenants, each within its own",
    "runs/subscription_rows.py": "the subscriptions of all tenants, each within its own",
    "runs/services.py": "inserts, with the tenant on the row",
    "runs/asked.py": "finds a run by the signed address of one of its steps",
    "runs/answers.py": "inserts, with the tenant on the row",
    "runs/triggers/intake.py": "inserts, with the tenant on the row",
    "runs/triggers/addresses.py": "finds webhooks by the hash of their address",
}
# Markup that is made in Python, all of it from constants or escaped parts.
MARKUP: Final = {"orchestrator/templatetags/ui.py", "orchestrator/builder/highlight.py"}


def sources(*ends: str) -> Iterator[tuple[str, str]]:
    for package in SOURCES:
        for path in sorted((ROOT / package).rglob("*")):
            if path.suffix in ends and "migrations" not in path.parts and "vendor" not in path.parts:
                yield str(path.relative_to(ROOT)), path.read_text()


def templates() -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "templates").rglob("*.html")):
        yield str(path.relative_to(ROOT)), path.read_text()


def test_few_open_what_is_sealed() -> None:
    assert {name for name, text in sources(".py") if re.search(r"\bunseal\(", text)} == set(OPENS)


def test_few_leave_the_tenant_out() -> None:
    # A statement by hand is as free as that manager.
    pattern = re.compile(r"\.unscoped\b|\bunscoped =|\b(?:FROM|UPDATE|INTO|COPY) (?:runs_|\{_?[A-Z])")
    assert {name for name, text in sources(".py") if pattern.search(text)} == set(UNSCOPED)


def test_nothing_is_pickled() -> None:
    pattern = re.compile(r"^\s*(?:import|from)\s+(?:c?pickle|dill|marshal|shelve)\b", re.M)
    assert [name for name, text in sources(".py") if pattern.search(text)] == []


def test_every_row_of_a_tenant_has_the_manager_that_asks_for_it() -> None:
    ours = [model for model in apps.get_models() if model.__module__.split(".")[0] in SOURCES]
    with_tenant = {model for model in ours if any(field.name == "tenant" for field in model._meta.fields)}
    assert len(with_tenant) >= 10
    assert {model for model in with_tenant if not issubclass(model, TenantOwned)} == set()


def test_no_model_hides_work_in_save_or_signals() -> None:
    overrides = re.compile(r"def (save|delete)\(self")
    signals = re.compile(r"@receiver|\bpost_save\b|\bpre_save\b|\bpost_delete\b|\bpre_delete\b|\bm2m_changed\b")
    models = [(name, text) for name, text in sources(".py") if name.endswith("models.py")]
    assert models
    assert [name for name, text in models if overrides.search(text)] == []
    assert [name for name, text in sources(".py") if signals.search(text)] == []


def test_the_admin_shows_no_queue_sessions_or_permissions() -> None:
    shown = {model._meta.label for model in site._registry}
    assert not {
        label for label in shown if label.partition(".")[0] in ("django_q", "sessions", "contenttypes", "admin")
    }
    assert not shown & {"auth.Group", "auth.Permission"}


def test_markup_is_made_in_few_places() -> None:
    made = {name for name, text in sources(".py") if "mark_safe(" in text}
    assert made == MARKUP
    loose = re.compile(r"\|\s*safe\b|autoescape\s+off|\|\s*safeseq\b")
    assert [name for name, text in templates() if loose.search(text)] == []


def test_templates_hold_no_script_style_or_foreign_address() -> None:
    inline = re.compile(
        r"<script(?![^>]*\bsrc=)(?![^>]*application/json)|<style|\sstyle=|\son[a-z]+=\"|javascript:", re.I
    )
    foreign = re.compile(r"(?:src|href|action)=\"(?:https?:)?//", re.I)
    assert [name for name, text in templates() if inline.search(text)] == []
    assert [name for name, text in templates() if foreign.search(text)] == []


def test_our_own_scripts_and_styles_load_nothing_from_elsewhere() -> None:
    pattern = re.compile(r"(?:import\s*\(?|url\(|fetch\(|src=)\s*['\"]?(?:https?:)?//", re.I)
    assert [name for name, text in sources(".css", ".js") if pattern.search(text)] == []


def test_what_is_vendored_keeps_its_licence() -> None:
    for folder in (ROOT / "orchestrator/static/vendor", ROOT / "tests/browser/vendor"):
        names = [path.name.lower() for path in folder.iterdir()]
        assert any("licen" in name for name in names), folder


def test_nothing_is_put_off() -> None:
    words = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")
    assert [name for name, text in [*sources(".py", ".js", ".css"), *templates()] if words.search(text)] == []
