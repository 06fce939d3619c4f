"""Pages in another language: all that people read on them is asked for in it, but for what people and systems gave."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import translation
from django.utils.translation import trans_real

from integrations.registry import registry
from orchestrator.builder import spoken
from orchestrator.flow.definition import TriggerType
from orchestrator.management.commands.makemessages import declared_module
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.vault import services as vault
from orchestrator.workflows import services
from orchestrator.workflows.models import Workflow
from runs.models import StepRun
from tests.runs.ground import drive, make_workflow, start
from tests.runs.ground import step as step_of
from tests.test_translation import LANGUAGE, foreign

__all__ = ["foreign"]
pytestmark = pytest.mark.django_db(transaction=True)
# One that translates a few words, and no others.
OTHER: Final = "ia"
# What is written the same in every language: names of the product, of formats, of units, and of what tests made.
SAME: Final = frozenset(
    {
        *("Orchestrator", "JSON", "HTTP", "HTTPS", "URL", "API", "UTC", "ID", "OAuth", "MCP", "SDK", "Python"),
        *("ms", "s", "min", "h", "d", "B", "KB", "MB", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"),
        *("Acme", "A", "editor-of-acme", "Leads", "Test", "true", "false", "null"),
        # Keys that are chosen among.
        *("auto", "json", "text", "basic", "starttls", "tls", "none", "full", "api_key"),
        *("file", "link", "cursor", "page", "offset", "query", "body"),
        # Defaults of fields.
        *("True", "False", "INBOX"),
    }
)
_READ: Final = frozenset({"aria-label", "title", "placeholder", "alt", "data-confirm", "label"})
# What is in these is code, data or a control's value.
_QUIET: Final = frozenset({"script", "style", "svg", "code", "pre", "textarea", "kbd", "template"})
_VOID: Final = frozenset({"meta", "link", "input", "br", "hr", "img", "use", "path", "col"})


class _Page(HTMLParser):
    """Collects words of a page that stand outside ⟦ ⟧; what is set in a typewriter's letters is data."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.depth = 0
        self._quiet: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if self._quiet:
            self._quiet += [] if tag in _VOID else [tag]
        elif tag not in _VOID and (tag in _QUIET or set(given.get("class", "").split()) & {"mono", "js", "k", "av"}):
            self._quiet.append(tag)
        for name in _READ & given.keys():
            # Examples of what to enter are data, as values are.
            if not (name == "placeholder" and not spoken.is_sentence(given[name].strip("⟦⟧"))):
                self.found += _outside(given[name], f"{tag}[{name}] ")

    def handle_endtag(self, tag: str) -> None:
        if self._quiet and tag == self._quiet[-1]:
            self._quiet.pop()

    def handle_data(self, data: str) -> None:
        if self._quiet:
            return
        kept = []
        for sign in data:
            self.depth += (sign == "⟦") - (sign == "⟧")
            kept.append(" " if self.depth or sign == "⟧" else sign)
        self.found += _words("".join(kept))


def _outside(text: str, where: str) -> list[str]:
    while (less := re.sub(r"⟦[^⟦⟧]*⟧", " ", text)) != text:
        text = less
    return [where + word for word in _words(text)]


def _words(text: str) -> Iterator[str]:
    for word in re.findall(r"[^\s,;:()·…“”\"'/]+", text):
        word = word.strip(".-–→?!+")
        # A key, an address, a number and an id are no words.
        if re.search(r"[A-Za-z]", word) and not re.search(r"[\d._@#=]", word) and word not in SAME:
            yield word


def left(answer: Any, *more: str) -> list[str]:
    page = _Page()
    page.feed(answer.content.decode())
    assert page.depth == 0
    return [word for word in dict.fromkeys(page.found) if word.rpartition(" ")[2] not in more]


@pytest.fixture
def actor(tenant: Tenant, editor: User) -> Actor:
    return actor_for_user(editor, tenant.slug)


@pytest.fixture
def browser(editor: User) -> Client:
    client = Client()
    client.force_login(editor)
    return client


@pytest.fixture
def workflow(actor: Actor) -> Workflow:
    found = services.workflow_create(actor=actor, document={"name": "Leads", "slug": "leads", "steps": []})
    for action in ("http.request", "flow.if", "slack.sendMessage", "data.filter", "code.python"):
        services.step_add(actor=actor, workflow=found, action=action)
    services.trigger_add(actor=actor, workflow=found, type=TriggerType.POLLING, config={"trigger": "rss.newItem"})
    return found


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, foreign: None) -> None:
    """Have the installation's language be the other one too, which workers speak."""
    monkeypatch.setattr(trans_real, "_default", trans_real._translations[LANGUAGE])


def test_the_builder(browser: Client, workflow: Workflow, foreign: None) -> None:
    for name in ("workflow", "step-add", "workflow-publish", "workflow-versions", "workflow-settings"):
        # The keys of the document are told among its changes.
        found = left(browser.get(reverse(name, args=["acme", workflow.pk])), "polling", "trigger")
        assert (name, found) == (name, [])
    about = browser.get(f"{reverse('step-add', args=['acme', workflow.pk])}?about=slack.sendMessage")
    assert left(about) == []
    for row in workflow.steps.all():
        at = reverse("workflow-step", args=["acme", workflow.pk, row.key])
        assert (row.key, left(browser.get(at))) == (row.key, [])
    for trigger in workflow.triggers.all():
        assert left(browser.get(reverse("workflow-trigger", args=["acme", workflow.pk, trigger.key]))) == []


def test_the_catalogue_and_the_credentials(browser: Client, actor: Actor, foreign: None) -> None:
    secret = {"token": "xoxb-of-the-tests"}
    vault.credential_create(actor=actor, name="ours", provider="slack", auth_type="bearer_token", secret=secret)
    pages = [reverse("integrations", args=["acme"]), f"{reverse('integrations', args=['acme'])}?q=http"]
    pages += [reverse("integration-provider", args=["acme", key]) for key in ("slack", "rss", "email")]
    pages += [reverse("integration-action", args=["acme", *key.split(".")]) for key in ("http.request", "data.filter")]
    pages += [reverse("credential-list", args=["acme"])]
    new = reverse("credential-new", args=["acme"])
    pages += [new, f"{new}?provider=email&auth_type=basic", f"{new}?provider=gmail&auth_type=oauth2"]
    for page in pages:
        assert (page, left(browser.get(page), "ours", "http")) == (page, [])


def test_a_failed_run_tells_why_in_the_language_of_the_installation(
    browser: Client, tenant: Tenant, installed: None
) -> None:
    run = start(make_workflow(tenant, step_of("ask", "acme.gone"), slug="test"))
    drive()
    error = StepRun.unscoped.get(run=run).error
    assert error["message"].startswith("⟦There is no action ")
    assert error["hint"] == "⟦Choose another action, or install the integration on every worker.⟧"
    assert left(browser.get(reverse("run", args=["acme", run.pk])), "ask") == []


def test_a_name_that_nobody_changed_is_the_actions_and_nothing_translated_is_stored(
    browser: Client, workflow: Workflow, foreign: None
) -> None:
    browser.post(reverse("step-add", args=["acme", workflow.pk]), {"action": "flow.wait"})
    step = workflow.steps.get(action="flow.wait")
    wait = registry.get("flow.wait")
    assert wait is not None
    assert step.name == wait.name
    page = browser.get(reverse("workflow", args=["acme", workflow.pk])).text
    assert f"⟦{wait.name}⟧" in page
    services.step_update(actor=_editor(workflow), workflow=workflow, key=step.key, changes={"name": "Patience"})
    assert "⟦Patience⟧" not in browser.get(reverse("workflow", args=["acme", workflow.pk])).text


def _editor(workflow: Workflow) -> Actor:
    return actor_for_user(User.objects.get(username__startswith="editor"), workflow.tenant.slug)


def test_a_search_finds_by_the_name_that_is_shown_and_by_the_declared_one(
    monkeypatch: pytest.MonkeyPatch, browser: Client, workflow: Workflow
) -> None:
    class Other(trans_real.DjangoTranslation):
        def gettext(self, message: str) -> str:
            return {"Filter a list": "Listo filtrita", "Data": "Datumoj"}.get(message, message)

    monkeypatch.setitem(trans_real._translations, OTHER, Other(OTHER, domain="django"))
    at = reverse("step-add", args=["acme", workflow.pk])
    with translation.override(OTHER):
        for query in ("listo filtrita", "filter a list"):
            answer = browser.get(f"{at}?q={query.replace(' ', '+')}")
            first = next(row for group in answer.context["groups"] for row in group.rows if row.shown)
            assert first.key == "data.filter"
        data = next(each for each in answer.context["categories"] if each.key == "Data")
        assert data.words == "Datumoj"
        assert "category=Data" in data.url
    with translation.override("en"):
        answer = browser.get(f"{at}?q=listo+filtrita")
        assert answer.context["count"] == 0


def test_makemessages_finds_what_integrations_declare(tmp_path: Path) -> None:
    with declared_module(tmp_path) as module:
        texts = {
            node.args[0].value
            for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call) and isinstance(node.args[0], ast.Constant)
        }
    assert not module.exists()
    slack = registry.provider("slack")
    assert slack is not None
    for action in registry.actions():
        schema = action.input_json_schema()
        titles = {field["title"] for field in schema.get("properties", {}).values() if "title" in field}
        assert {action.name, action.description, *titles} <= texts
    assert {kind.title for kind in slack.auth} <= texts
    assert "The credential is missing, wrong, expired or revoked." in texts
