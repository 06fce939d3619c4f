"""Fields that are folded away under a title of their own, as http.request's paging is."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from orchestrator.tenants.access import actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.workflows import services
from tests.builder.test_builder import POSTED
from tests.runs.ground import step

pytestmark = pytest.mark.django_db


def test_paging_is_a_fold_of_its_own_that_is_open_once_something_in_it_is_filled_in(
    client: Client, tenant: Tenant, editor: User
) -> None:
    client.force_login(editor)
    document = {"name": "Pages", "steps": [step("call", "http.request", inputs={"url": "https://a.example"})]}
    workflow = services.workflow_create(actor=actor_for_user(editor, tenant.slug), document=document)
    address = reverse("workflow-step", args=["acme", workflow.pk, "call"])
    html = client.get(address).content.decode()
    folds = re.findall(r'<details class="fold"( open)?><summary>.*?<span>([^<]*)</span>', html)
    assert folds == [("", "8 more fields"), ("", "Paging")]
    assert re.search(r'data-field="paging_next"[^>]* data-show-if="paging link cursor"', html)
    filled = {"in.url": "https://a.example", "in.paging": "link", "in.paging_items": "data", "in.max_pages": "3"}
    answer = client.post(address, {**POSTED, **filled, "revision": workflow.revision})
    assert answer.status_code == 302
    inputs = workflow.steps.get(key="call").config["inputs"]
    assert inputs == {"url": "https://a.example", "paging": "link", "paging_items": "data", "max_pages": 3}
    html = client.get(address).content.decode()
    assert re.findall(r'<details class="fold"( open)?>', html) == ["", " open"]
