"""A run that waits, on its page: for what, the answer for those who may, words for the others."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from orchestrator.tenants.models import Tenant
from runs.models import Answer, Run, StepRun
from tests.runs.ground import drive, step
from tests.runs.test_answers import FORM, approve, callback, lost, parked, resumed

pytestmark = pytest.mark.django_db(transaction=True)


def page_of(user: User, run: Run, more: str = "") -> Any:
    client = Client()
    client.force_login(user)
    response = client.get(f"/w/acme/runs/{run.pk}/{more}")
    assert response.status_code == 200
    return response


def answer(user: User, run: Run, **sent: str) -> Any:
    client = Client()
    client.force_login(user)
    return client.post(f"/w/acme/runs/{run.pk}/resolve/", {"path": "ok", **sent})


def title(response: Any) -> str:
    found = re.search(r"<h1>(.*?)</h1>", response.content.decode())
    assert found
    return found[1]


def test_the_title_says_what_a_run_waits_for(tenant: Tenant, viewer: User) -> None:
    long = "Refund " + "very " * 30
    for steps, words in (
        ([approve(message="Refund <b>17</b>?\n\nNow.")], "Waiting for an approval: Refund &lt;b&gt;17&lt;/b&gt;? Now."),
        ([approve(message=long)], f"Waiting for an approval: {long[:79].rstrip()}…"),
        ([callback()], "Waiting for a call back"),
    ):
        run = parked(tenant, *steps, slug=f"w{len(words)}")
        assert title(page_of(viewer, run)) == words
    assert title(page_of(viewer, lost(tenant, slug="lost"))) == "Nobody knows whether “send” happened"


def test_a_moment_to_come_is_told_in_the_tenants_time(tenant: Tenant, viewer: User) -> None:
    tenant.time_zone = "Asia/Tokyo"
    tenant.save()
    run = parked(tenant, step("w", "flow.wait", inputs={"seconds": 7200}))
    noon = timezone.now().replace(hour=3, minute=0, second=0) + timedelta(days=400)
    Run.unscoped.filter(pk=run.pk).update(wake_at=noon)
    assert title(page_of(viewer, run)) == f"Waiting until {noon.day} {noon:%b %Y}, 12:00"
    Run.unscoped.filter(pk=run.pk).update(wake_at=timezone.now() - timedelta(seconds=1))
    assert title(page_of(viewer, run)) == "Goes on in a moment"


def test_an_operator_answers_an_approval_right_there(tenant: Tenant, operator: User) -> None:
    run = parked(tenant, approve(form=FORM), output="{{ steps.ok.output }}")
    shown = page_of(operator, run).content.decode()
    assert f'action="/w/acme/runs/{run.pk}/resolve/"' in shown
    assert "Address of the question" not in shown
    response = answer(operator, run, decision="approved", f0="7", comment="Fine", attempt="1")
    assert (response.status_code, response["Location"]) == (302, f"/w/acme/runs/{run.pk}/")
    assert title(page_of(operator, run)) == "Goes on in a moment"
    drive()
    assert run.refresh().output == {
        "decision": "approved", "form": {"amount": 7}, "comment": "Fine", "by": "operator-of-acme"
    }  # fmt: skip
    assert 'name="decision"' not in page_of(operator, run).content.decode()


def test_what_is_wrong_with_an_answer_is_at_its_field(tenant: Tenant, operator: User) -> None:
    run = parked(tenant, approve("first"), approve("ok", form=FORM))
    answer(operator, run, path="first", decision="approved")
    drive()
    response = answer(operator, run, decision="approved", f0="101", comment="kept")
    assert response.status_code == 422
    (item,) = response.context["page"].waits.items
    assert item.question.fields[0].error == "At most 100 is possible."
    assert "kept</textarea>" in response.content.decode()
    response = answer(operator, run, decision="nonsense", f0="1")
    assert response.status_code == 422
    assert "send approved or rejected" in response.content.decode()
    assert Answer.objects.for_tenant(tenant).count() == 1


def test_a_second_answer_is_told_of_the_first(tenant: Tenant, operator: User) -> None:
    run = parked(tenant, approve())
    answer(operator, run, decision="approved")
    client = Client()
    client.force_login(operator)
    page = client.post(f"/w/acme/runs/{run.pk}/resolve/", {"path": "ok", "decision": "rejected"}, follow=True)
    assert "answered already. Approved by operator-of-acme" in page.content.decode()
    assert client.post(f"/w/acme/runs/{run.pk}/resolve/", {"path": "nothing"}).status_code == 404


def test_those_who_may_not_answer_read_who_can(tenant: Tenant, viewer: User, operator: User, editor: User) -> None:
    run = parked(tenant, approve())
    shown = page_of(viewer, run).content.decode()
    assert "Somebody with the role operator or above can answer" in shown
    assert 'name="decision"' not in shown
    # The address alone would be enough to decide.
    assert "/a/" not in shown
    assert answer(viewer, run, decision="approved").status_code == 403
    run = parked(tenant, approve(approvers=["viewer-of-acme"]), slug="named")
    shown = page_of(operator, run).content.decode()
    assert "not among those who are asked: viewer-of-acme" in shown
    assert 'name="decision"' not in shown
    shown = page_of(viewer, run).content.decode()
    assert "You are asked: answer on the page of this question." in shown
    assert re.search(r'<a class="lk" href="/a/[\w-]{32}">', shown)
    assert "not among those" in page_of(editor, run).content.decode()


def test_editors_see_the_addresses_with_a_way_to_copy_them(tenant: Tenant, editor: User, settings: Any) -> None:
    run = parked(tenant, callback())
    shown = page_of(editor, run).content.decode()
    found = re.search(r'id="(w\d+-link)"[^>]*>(http://testserver/c/[\w-]{32})</code>', shown)
    assert found
    assert f'data-copy-from="#{found[1]}"' in shown
    assert Client().post(found[2].removeprefix("http://testserver")).status_code == 202
    settings.BASE_URL = "https://flows.example.com"
    run = parked(tenant, callback(), slug="again")
    assert ">https://flows.example.com/c/" in page_of(editor, run).content.decode()


@pytest.mark.parametrize(
    ("decision", "status"), [("succeeded", "succeeded"), ("retry", "succeeded"), ("failed", "failed")]
)
def test_an_operator_says_what_became_of_a_lost_call(
    tenant: Tenant, operator: User, viewer: User, decision: str, status: str
) -> None:
    run = lost(tenant)
    assert "can say what happened" in page_of(viewer, run).content.decode()
    assert "It did not: try again" in page_of(operator, run).content.decode()
    wrong = answer(operator, run, path="send", decision=decision, output="{broken", comment="kept")
    assert wrong.status_code == 422
    (item,) = wrong.context["page"].waits.items
    assert item.unknown.output_error.startswith("This was not taken: not valid JSON")
    assert (item.unknown.output, item.unknown.comment) == ("{broken", "kept")
    assert answer(operator, run, path="send", decision=decision, output='{"id": 7}', attempt="1").status_code == 302
    assert resumed(run).status == status
    if decision == "succeeded":
        assert run.output == {"id": 7}


def test_an_answer_about_an_earlier_attempt_is_not_taken(tenant: Tenant, operator: User) -> None:
    run = lost(tenant)
    StepRun.unscoped.filter(run=run).update(attempt=2)
    client = Client()
    client.force_login(operator)
    sent = {"path": "send", "decision": "retry", "attempt": "1"}
    page = client.post(f"/w/acme/runs/{run.pk}/resolve/", sent, follow=True)
    assert "asks about attempt 2 now" in page.content.decode()
    assert not Answer.objects.for_tenant(tenant).exists()


def test_many_questions_are_listed_and_the_rest_is_counted(tenant: Tenant, operator: User) -> None:
    loop = step("each", "flow.foreach", inputs={"items": list(range(13)), "concurrency": 13})
    loop["lanes"] = {"body": [approve(message="Item {{ item }}?")]}
    run = parked(tenant, loop)
    response = page_of(operator, run)
    items = response.context["page"].waits.items
    assert [item.title for item in items] == [f"Item {number}?" for number in range(10)]
    assert [item.is_open for item in items] == [True, *[False] * 9]
    assert "3 more questions wait after these." in response.content.decode()
    ids = re.findall(r'\sid="([^"]+)"', response.content.decode())
    assert len(ids) == len(set(ids))


def test_a_half_written_answer_stays_while_other_things_change(tenant: Tenant, operator: User) -> None:
    run = parked(tenant, approve())
    shown = page_of(operator, run).content.decode()
    mark = re.search(r'id="waits-mark" name="waits" value="([^"]+)"', shown)
    assert mark
    client = Client()
    client.force_login(operator)

    def changes(after: int, waits: str) -> Any:
        return client.get(f"/w/acme/runs/{run.pk}/changes/", {"after": after, "waits": waits})

    assert changes(run.revision, mark[1]).status_code == 204
    assert 'id="waiting"' not in changes(0, mark[1]).content.decode()
    selected = client.get(f"/w/acme/runs/{run.pk}/?step=ok", headers={"HX-Request": "true"}).content.decode()
    assert 'id="waiting"' not in selected
    answer(operator, run, decision="approved")
    swapped = changes(0, mark[1]).content.decode()
    assert 'id="waiting" hx-swap-oob="true"' in swapped
    assert 'name="decision"' not in swapped
