"""A workflow is downloaded from its settings, and taken in from a file or from pasted JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from orchestrator import jsongate
from orchestrator.tenants.access import actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.workflows.models import Workflow
from orchestrator.workflows.portable import workflow_export
from orchestrator.workflows.services import workflow_create
from tests.builder.ground import DOCUMENT

pytestmark = pytest.mark.django_db
ADDRESS = "/w/acme/workflows/import/"


@pytest.fixture
def workflow(tenant: Tenant, editor: User) -> Workflow:
    return workflow_create(actor=actor_for_user(editor, tenant.slug), document=DOCUMENT)


@pytest.fixture
def browser(client: Client, editor: User) -> Client:
    client.force_login(editor)
    return client


def sent(document: Any) -> dict[str, Any]:
    return {"file": SimpleUploadedFile("leads.json", json.dumps(document).encode())}


def test_a_workflow_is_downloaded_from_its_settings(client: Client, viewer: User, workflow: Workflow) -> None:
    client.force_login(viewer)
    page = client.get(f"/w/acme/workflows/{workflow.pk}/settings/").text
    assert f"/w/acme/workflows/{workflow.pk}/file/" in page
    assert "file/replace" not in page
    answer = client.get(f"/w/acme/workflows/{workflow.pk}/file/")
    assert answer.text == workflow_export(workflow).text
    assert answer["Content-Disposition"] == 'attachment; filename="leads.json"'
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_a_file_or_pasted_json_becomes_a_draft_that_is_off(browser: Client, tenant: Tenant) -> None:
    assert ADDRESS in browser.get("/w/acme/workflows/").text
    assert 'type="file"' in browser.get(ADDRESS).text
    for given, slug in ((sent(DOCUMENT), "leads"), ({"text": json.dumps({**DOCUMENT, "slug": "pasted"})}, "pasted")):
        answer = browser.post(ADDRESS, given, follow=True)
        made = Workflow.objects.for_tenant(tenant).get(slug=slug)
        assert answer.redirect_chain == [(f"/w/acme/workflows/{made.pk}/", 302)]
        assert "was taken in as a draft" in answer.text
        assert (made.enabled, made.published_version_id) == (False, None)


def test_problems_are_shown_with_their_paths_and_what_was_given(browser: Client, tenant: Tenant) -> None:
    wrong = {**DOCUMENT, "steps": [{"key": "<b>", "action": ""}]}
    for given in (sent(wrong), {"text": json.dumps(wrong)}):
        answer = browser.post(ADDRESS, given)
        assert answer.status_code == 422
        assert "<code>steps[0].key</code>" in answer.text
        assert "<code>steps[0].action</code>" in answer.text
        assert "&lt;b&gt;" in answer.text
        assert '<b>"' not in answer.text
    for text in ("{", "[]", '{"a": NaN}'):
        assert browser.post(ADDRESS, {"text": text}).status_code == 422
    assert browser.post(ADDRESS, {"file": SimpleUploadedFile("a", b"\xff\0")}).status_code == 422
    assert browser.post(ADDRESS, {}).status_code == 422
    assert not Workflow.objects.for_tenant(tenant).exists()


def test_a_file_that_is_too_large_is_dropped_unread(
    browser: Client, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsongate, "MAX_BYTES", 1_000)
    answer = browser.post(ADDRESS, sent({**DOCUMENT, "description": "x" * 2_000}))
    assert answer.status_code == 422
    assert "Choose a file" in answer.text


def test_a_draft_is_replaced_and_keeps_its_address_name(browser: Client, workflow: Workflow) -> None:
    address = f"/w/acme/workflows/{workflow.pk}/file/replace/"
    assert "Replace the draft" in browser.get(address).text
    answer = browser.post(address, sent({**DOCUMENT, "name": "Other", "slug": "other"}))
    assert answer.status_code == 302
    workflow.refresh_from_db()
    assert (workflow.name, workflow.slug) == ("Other", "leads")


def test_who_may_not_edit_takes_nothing_in(client: Client, operator: User, workflow: Workflow) -> None:
    client.force_login(operator)
    assert "Import a workflow" not in client.get("/w/acme/workflows/").text
    for address in (ADDRESS, f"/w/acme/workflows/{workflow.pk}/file/replace/"):
        assert client.get(address).status_code == 403
        assert client.post(address, sent(DOCUMENT)).status_code == 403
