from __future__ import annotations

from django.test import Client
from django.utils import timezone

from orchestrator.tenants.models import AuditEvent
from runs.models import Answer, Payload, Run, StepRun
from runs.states import RunStatus
from tests.admin.conftest import World, url


def end(run: Run) -> None:
    Run.unscoped.filter(pk=run.pk).update(status=RunStatus.FAILED, wake_at=None, finished_at=timezone.now())


def test_a_run_shows_every_attempt_with_what_went_in_and_out(staff: Client, ours: World) -> None:
    page = staff.get(url(ours.run, "change")).content.decode()
    for text in ("First", "data.set", "permanent: it broke", "mend it", "a line of log", "to acme"):
        assert text in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert 'name="_save"' not in page


def test_a_run_shows_what_was_answered_to_it(staff: Client, ours: World, theirs: World) -> None:
    for world, path in ((ours, "ok"), (theirs, "elsewhere")):
        document = {"decision": "approved", "comment": "<i>hm</i>"}
        Answer.unscoped.create(
            tenant=world.tenant, run=world.run, path=path, kind="approval", document=document, by=world.actor.user
        )
    page = staff.get(url(ours.run, "change")).content.decode()
    assert "Answers from outside" in page
    assert "<code>ok</code>" in page
    assert "owner-of-acme" in page
    assert "&lt;i&gt;hm&lt;/i&gt;" in page
    assert "elsewhere" not in page


def test_a_run_takes_no_change_and_no_deletion(staff: Client, root: Client, ours: World) -> None:
    for client in (staff, root):
        assert client.post(url(ours.run, "change"), {"status": "succeeded"}).status_code == 403
        assert client.post(url(ours.run, "delete"), {"post": "yes"}).status_code == 403
        assert client.get(url(ours.run, "add")).status_code == 403
        client.post(url(ours.run), {"action": "delete_selected", "_selected_action": ours.run.pk, "post": "yes"})
    assert ours.run.refresh().status == "queued"


def test_a_run_is_cancelled_and_run_again(staff: Client, ours: World) -> None:
    assert "Cancel" in staff.get(url(ours.run, "change")).content.decode()
    staff.post(url(ours.run, "do", "cancel"))
    assert ours.run.refresh().status == "cancelled"
    again = staff.post(url(ours.run, "do", "cancel"), follow=True)
    assert "This run has ended" in again.content.decode()
    response = staff.post(url(ours.run, "do", "rerun"))
    made = Run.objects.for_tenant(ours.tenant).latest("pk")
    assert response.headers["Location"] == url(made, "change")
    assert (made.rerun_of_id, made.status) == (ours.run.pk, "queued")
    actions = AuditEvent.objects.for_tenant(ours.tenant).filter(target_type="run").values_list("action", flat=True)
    assert sorted(actions) == ["run.cancelled", "run.rerun", "run.started"]


def test_large_values_are_cut_or_lead_to_a_download(staff: Client, ours: World) -> None:
    payload = Payload.unscoped.create(tenant=ours.tenant, run=ours.run, size=5_000_000, data=b"")
    StepRun.unscoped.filter(run=ours.run).update(inputs={"text": "x" * 70_000}, output_ref=payload.pk)
    page = staff.get(url(ours.run, "change")).content.decode()
    assert "… cut here," in page
    assert len(page) < 100_000
    assert f"/w/acme/runs/{ours.run.pk}/values/{payload.pk}/" in page


def test_many_attempts_come_in_pages(staff: Client, ours: World) -> None:
    now = timezone.now()
    StepRun.unscoped.bulk_create(
        StepRun(
            tenant=ours.tenant,
            run=ours.run,
            path=f"each[{n}]",
            key="each",
            action="x.y",
            status="succeeded",
            started_at=now,
        )
        for n in range(60)
    )
    first = staff.get(url(ours.run, "change"))
    assert len(first.context["run"].attempts) == 50
    rest = staff.get(url(ours.run, "change") + first.context["run"].more_url)
    assert [attempt.path for attempt in rest.context["run"].attempts] == [f"each[{n}]" for n in range(49, 60)]


def test_a_run_is_found_by_its_id_and_its_workflows_name(staff: Client, ours: World) -> None:
    for text in (str(ours.run.pk), "acme gre"):
        assert str(ours.run.pk) in staff.get(url(Run), {"q": text}).content.decode()
    assert f"/{ours.run.pk}/" not in staff.get(url(Run), {"q": "nothing of the sort"}).content.decode()


def test_the_list_runs_several_again(staff: Client, ours: World) -> None:
    end(ours.run)
    response = staff.post(url(Run), {"action": "rerun", "_selected_action": ours.run.pk}, follow=True)
    assert "Run again: done for 1." in response.content.decode()
    assert Run.objects.for_tenant(ours.tenant).count() == 2
