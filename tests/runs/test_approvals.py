"""The page at an approval's address: what each visitor is shown, and that only a POST by who may decides."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from orchestrator.tenants.access import actor_for_user
from orchestrator.tenants.models import Membership, Role, Tenant
from runs import services
from runs.links import token_of
from runs.models import Answer, Run, StepRun
from tests.runs.ground import drive
from tests.runs.test_answers import FORM, approve, callback, parked

pytestmark = pytest.mark.django_db(transaction=True)
HOSTILE = "<script>alert(1)</script> \"' &amp; \u202e"


def address(run: Run, path: str = "ok") -> str:
    return f"/a/{token_of(run.pk, path)}"


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def text_of(response: Any) -> str:
    """Check what holds for every answer of the page, and return it."""
    assert response["Cache-Control"] == "private, no-store"
    assert response["X-Robots-Tag"] == "noindex, nofollow"
    assert "script-src 'self'" in response["Content-Security-Policy"]
    text: str = response.content.decode()
    assert "<script" not in text
    assert " style=" not in text
    return text


def answers(run: Run) -> list[dict[str, Any]]:
    return [row.document for row in Answer.objects.for_tenant(run.tenant_id).filter(run=run)]


def test_a_get_only_shows_and_a_post_decides(tenant: Tenant, client: Client) -> None:
    run = parked(tenant, approve(message="Refund order 17?\n\nTwice."), output="{{ steps.ok.output }}")
    for _ in range(2):
        text = text_of(client.get(address(run)))
        assert "Refund order 17?" in text
        assert "Acme" in text
        assert client.head(address(run)).status_code == 200
        assert client.get(address(run) + "?decision=approved").status_code == 200
    assert client.put(address(run)).status_code == 405
    assert answers(run) == []
    response = client.post(address(run), {"decision": "approved", "comment": "Fine"})
    assert (response.status_code, response["Location"]) == (302, address(run) + "?thanks")
    text_of(response)
    text = text_of(client.get(response["Location"]))
    assert "Thank you, your answer is in" in text
    assert "Approved by somebody who had the link" in text
    assert 'name="decision"' not in text
    drive()
    assert run.refresh().output == {"decision": "approved", "form": None, "comment": "Fine", "by": None}
    assert "This is answered" in text_of(client.get(address(run)))


def test_without_the_pages_own_token_nothing_is_decided(tenant: Tenant) -> None:
    run = parked(tenant, approve())
    client = Client(enforce_csrf_checks=True)
    assert client.post(address(run), {"decision": "approved"}).status_code == 403
    assert answers(run) == []
    token = client.get(address(run)).context["csrf_token"]
    sent = {"decision": "approved", "csrfmiddlewaretoken": str(token)}
    assert client.post(address(run), sent).status_code == 302
    assert len(answers(run)) == 1


@pytest.mark.parametrize("token", ["x", "a" * 32, "%00", "ü", "a" * 3_000])
def test_a_wrong_link_is_404_and_always_the_same(token: str, tenant: Tenant, client: Client) -> None:
    run = parked(tenant, approve(), callback("cb"))

    def shown(path: str) -> str:
        response = client.get(path)
        assert response.status_code == 404
        text = text_of(response)
        reference = text.rpartition('<span class="mono">')[2].partition("<")[0]
        return text.replace(reference, "")

    wrong = shown(f"/a/{token}")
    right = address(run)
    assert wrong == shown(right[:-2] + ("AA" if right[-2:] != "AA" else "BB"))
    assert wrong == shown(address(run, "cb"))
    assert client.post(f"/a/{token}", {"decision": "approved"}).status_code == 404


def test_what_a_workflow_writes_is_text(tenant: Tenant, client: Client) -> None:
    form = {
        "type": "object",
        "properties": {
            HOSTILE: {"type": "string", "title": HOSTILE, "description": HOSTILE, "default": HOSTILE},
            "pick": {"enum": [HOSTILE, 1]},
        },
    }
    run = parked(tenant, approve(message=HOSTILE, form=form, approvers=[]))
    text = text_of(client.get(address(run)))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "alert(1)</" not in text.replace("&lt;", "")
    text = text_of(client.post(address(run), {"decision": HOSTILE, "comment": HOSTILE, "f0": HOSTILE}))
    assert "&lt;script&gt;" in text
    assert answers(run) == []


def test_a_form_is_filled_in_and_its_errors_are_at_the_fields(tenant: Tenant, client: Client) -> None:
    run = parked(tenant, approve(form=FORM))
    page = client.get(address(run))
    assert [(field.name, field.kind, field.required) for field in page.context["page"].question.fields] == [
        ("amount", "number", True),
        ("why", "text", False),
    ]
    sent = {"decision": "approved", "f0": "much", "f1": "because", "comment": "kept"}
    page = client.post(address(run), sent)
    assert page.status_code == 422
    text = text_of(page)
    (amount, why) = page.context["page"].question.fields
    assert "a number is needed" in amount.error
    assert (amount.value, why.value, why.error) == ("much", "because", "")
    assert 'aria-invalid="true" aria-describedby="f-0-help"' in text
    assert '<a class="lk" href="#f-0">amount</a>' in text
    assert "kept</textarea>" in text
    assert answers(run) == []
    assert client.post(address(run), {**sent, "f0": "12.5"}).status_code == 302
    assert answers(run)[0]["form"] == {"amount": 12.5, "why": "because"}


def test_a_rejection_needs_no_form(tenant: Tenant, client: Client) -> None:
    run = parked(tenant, approve(form=FORM))
    assert client.post(address(run), {"decision": "rejected", "f0": "", "f1": "no"}).status_code == 302
    assert answers(run)[0]["form"] == {"why": "no"}


def test_a_broken_form_is_told(tenant: Tenant, client: Client) -> None:
    run = parked(tenant, approve(form={"type": "objekt"}))
    assert "not a valid JSON schema" in text_of(client.get(address(run)))
    assert client.post(address(run), {"decision": "approved"}).status_code == 422
    assert client.post(address(run), {"decision": "rejected"}).status_code == 302


def test_a_comment_that_is_too_long_comes_back(tenant: Tenant, client: Client) -> None:
    run = parked(tenant, approve())
    page = client.post(address(run), {"decision": "approved", "comment": "x" * 2_001})
    assert page.status_code == 422
    assert "at most 2,000 are kept" in page.context["page"].question.comment_error
    assert 'aria-describedby="f-comment-error"' in text_of(page)


def test_who_is_asked_signs_in_and_comes_back(tenant: Tenant, client: Client, editor: User) -> None:
    run = parked(tenant, approve(approvers=["editor-of-acme"]))
    for response in (client.get(address(run)), client.post(address(run), {"decision": "approved"})):
        assert (response.status_code, response["Location"]) == (302, f"/sign-in/?next={address(run)}")
        assert "Refund" not in text_of(response)
    there = client.post(
        "/sign-in/", {"username": editor.username, "password": "a good password", "next": address(run)}, follow=True
    )
    assert there.redirect_chain == [(address(run), 302)]
    assert "Refund?" in text_of(there)
    assert client.post(address(run), {"decision": "approved"}).status_code == 302
    assert answers(run)[0]["by"] == "editor-of-acme"
    assert "Approved by editor-of-acme" in text_of(client.get(address(run)))


def test_a_member_who_is_not_asked_sees_the_question_and_who_is(tenant: Tenant, operator: User) -> None:
    run = parked(tenant, approve(approvers=["ada", "admin"]))
    client = signed_in(operator)
    for page in (client.get(address(run)), client.post(address(run), {"decision": "approved"})):
        assert page.status_code == 403
        text = text_of(page)
        assert "not among those who are asked: ada, role admin or above" in text
        assert "Refund?" in text
        assert 'name="decision"' not in text
    assert answers(run) == []


def test_a_stranger_with_the_link_learns_nothing(tenant: Tenant, stranger: User) -> None:
    run = parked(tenant, approve(approvers=["owner"]))
    client = signed_in(stranger)
    for page in (client.get(address(run)), client.post(address(run), {"decision": "approved"})):
        assert page.status_code == 403
        text = text_of(page)
        assert "Refund?" not in text
        assert "You are signed in as owner-of-globex" in text
    assert answers(run) == []


def test_whoever_is_no_member_any_more_is_out_at_once(tenant: Tenant, editor: User) -> None:
    run = parked(tenant, approve(approvers=["editor"]))
    client = signed_in(editor)
    assert client.get(address(run)).status_code == 200
    membership = Membership.objects.for_tenant(tenant).filter(user=editor)
    membership.update(role=Role.OPERATOR)
    assert client.post(address(run), {"decision": "approved"}).status_code == 403
    membership.delete()
    page = client.post(address(run), {"decision": "approved"})
    assert page.status_code == 403
    assert "Refund?" not in text_of(page)
    User.objects.filter(pk=editor.pk).update(is_active=False)
    assert client.post(address(run), {"decision": "approved"}).status_code == 302
    assert answers(run) == []


def test_who_started_the_run_is_told_to_ask_somebody_else(tenant: Tenant, operator: User, editor: User) -> None:
    run = parked(
        tenant, approve(approvers=["operator"], exclude_requester=True), actor=actor_for_user(operator, "acme")
    )
    assert "You started this run" in text_of(signed_in(operator).post(address(run), {"decision": "approved"}))
    assert signed_in(editor).post(address(run), {"decision": "approved"}).status_code == 302


def test_who_is_signed_in_is_not_noted_where_the_link_is_enough(tenant: Tenant, owner: User) -> None:
    run = parked(tenant, approve())
    assert signed_in(owner).post(address(run), {"decision": "approved"}).status_code == 302
    assert answers(run)[0]["by"] is None


def test_the_second_hears_what_the_first_said(tenant: Tenant, client: Client) -> None:
    run = parked(tenant, approve())
    client.post(address(run), {"decision": "rejected"})
    page = client.post(address(run), {"decision": "approved"})
    assert page.status_code == 409
    assert "Rejected by somebody who had the link" in text_of(page)
    assert [answer["decision"] for answer in answers(run)] == ["rejected"]


def test_each_state_has_its_words(tenant: Tenant, client: Client, owner: User) -> None:
    run = parked(tenant, approve("first"), approve("ok", timeout=60))
    page = client.get(address(run))
    assert page.status_code == 200
    assert "Nothing is asked yet" in text_of(page)
    # Whose it is, is told with the question.
    assert "Acme" not in text_of(page)
    assert client.post(address(run), {"decision": "approved"}).status_code == 409
    client.post(address(run, "first"), {"decision": "approved"})
    drive()
    assert "Answer by" in text_of(client.get(address(run)))
    StepRun.unscoped.filter(run=run, path="ok").update(started_at=timezone.now() - timedelta(seconds=61))
    assert "The time to answer is over" in text_of(client.get(address(run)))
    page = client.post(address(run), {"decision": "approved"})
    assert page.status_code == 409
    assert "The time to answer is over. It was" in text_of(page)
    services.run_cancel(actor=actor_for_user(owner, "acme"), run=run.refresh())
    assert "Nothing waits for this any more" in text_of(client.get(address(run)))
    assert "has ended (cancelled)" in text_of(client.post(address(run), {"decision": "approved"}))


def test_times_are_the_tenants(tenant: Tenant, client: Client) -> None:
    tenant.time_zone = "Asia/Tokyo"
    tenant.save()
    run = parked(tenant, approve(timeout=86_400))
    assert "JST" in text_of(client.get(address(run)))


def test_a_theme_and_garbage_break_nothing(tenant: Tenant, client: Client) -> None:
    run = parked(tenant, approve(form=FORM))
    client.cookies["theme"] = "dark"
    assert 'data-theme="dark"' in text_of(client.get(address(run)))
    garbage: list[tuple[Any, str]] = [
        (b"", "application/x-www-form-urlencoded"),
        (b"decision=approved&f0=" + b"9" * 400, "application/x-www-form-urlencoded"),
        (b"decision=approved&f0=1e999", "application/x-www-form-urlencoded"),
        (b"decision=approved&comment=%00%ff&f0=nan", "application/x-www-form-urlencoded"),
        (json.dumps({"decision": "approved"}).encode(), "application/json"),
        (b"--x\r\nbroken", "multipart/form-data; boundary=x"),
    ]
    for body, kind in garbage:
        response = client.generic("POST", address(run), body, content_type=kind)
        assert 400 <= response.status_code < 500, (body, response.status_code)
    assert answers(run) == []


def test_an_address_survives_a_new_vault_key(tenant: Tenant, client: Client, settings: Any) -> None:
    run = parked(tenant, approve())
    old = address(run)
    settings.VAULT_KEYS = [b"n" * 32, *settings.VAULT_KEYS]
    assert address(run) != old
    for each in (old, address(run)):
        assert client.get(each).status_code == 200


def test_the_users_of_two_tenants_answer_each_their_own(
    tenant: Tenant, other_tenant: Tenant, make_member: Callable[..., User]
) -> None:
    both = make_member(tenant, Role.EDITOR, "both")
    Membership.unscoped.create(tenant=other_tenant, user=both, role=Role.VIEWER)
    runs = [parked(each, approve(approvers=["editor"])) for each in (tenant, other_tenant)]
    client = signed_in(both)
    assert [client.post(address(run), {"decision": "approved"}).status_code for run in runs] == [302, 403]
