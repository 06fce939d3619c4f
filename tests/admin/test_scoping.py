from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

from orchestrator.admin import site
from orchestrator.tenants.models import Membership, Role, Tenant
from tests.admin.conftest import World, sent, url

PAGES = ("change", "delete", "history")


def test_who_is_not_signed_in_goes_to_the_products_sign_in_page(client: Client, db: None) -> None:
    response = client.get("/admin/workflows/workflow/", follow=True)
    assert response.redirect_chain[-1][0] == "/sign-in/?next=/admin/workflows/workflow/"
    assert response.status_code == 200


@pytest.mark.parametrize(("role", "is_staff"), [(Role.OWNER, False), (Role.OPERATOR, True), (Role.VIEWER, True)])
def test_who_is_no_staff_or_no_editor_is_led_to_the_product(
    client: Client, tenant: Tenant, make_member: Callable[..., User], role: Role, is_staff: bool
) -> None:
    user = make_member(tenant, role)
    user.is_staff = is_staff
    user.save()
    client.force_login(user)
    response = client.get("/admin/", follow=True)
    assert response.redirect_chain[-1][0] == "/w/acme/"
    assert "The administration is for staff" in response.content.decode()


def test_a_membership_that_ends_ends_the_administration(client: Client, ours: World, staff: Client) -> None:
    assert staff.get(url(ours.workflow, "change")).status_code == 200
    Membership.unscoped.filter(user__username__startswith="staff").update(role=Role.VIEWER)
    assert staff.get(url(ours.workflow, "change")).status_code == 302


def test_lists_show_ones_own_tenants_alone(staff: Client, ours: World, theirs: World) -> None:
    for mine, other in zip(ours.objects(), theirs.objects(), strict=True):
        page = staff.get(url(mine)).content.decode()
        assert str(mine.pk) in page, mine
        assert str(other.pk) not in page, other
        assert "globex" not in page.lower(), mine


@pytest.mark.parametrize("query", ["?q=globex", "?tenant={tenant}", "?q={run}", "?workflow={workflow}"])
def test_neither_search_nor_filter_reaches_another_tenant(
    staff: Client, ours: World, theirs: World, query: str
) -> None:
    ids = {"tenant": theirs.tenant.pk, "run": theirs.run.pk, "workflow": theirs.workflow.pk}
    for other in theirs.objects():
        response = staff.get(url(other) + query.format(**ids), follow=True)
        assert response.status_code == 200
        assert f"/{other.pk}/" not in response.content.decode()


@pytest.mark.parametrize("page", PAGES)
def test_another_tenants_object_looks_like_none(staff: Client, ours: World, theirs: World, page: str) -> None:
    for mine, other in zip(ours.objects(), theirs.objects(), strict=True):
        of_other, of_none = staff.get(url(other, page)), staff.get(url(other, page).replace(str(other.pk), "4711"))
        assert of_other.status_code == of_none.status_code, mine
        assert of_other.status_code in (403, 404), mine
        assert staff.post(url(other, page), {"post": "yes", "name": "x"}).status_code in (403, 404, 405)


def test_nothing_can_be_done_with_another_tenants_object(staff: Client, ours: World, theirs: World) -> None:
    before = {type(other): type(other)._default_manager.count() for other in theirs.objects()}
    for other in theirs.objects():
        for button in site._registry[type(other)].__dict__.get("buttons", ()):
            assert staff.post(url(other, "do", button.name)).status_code == 404
        for action in ("delete_selected", "publish", "run-now", "cancel", "rerun", "disable"):
            staff.post(url(other), {"action": action, "_selected_action": other.pk, "post": "yes", "index": "0"})
            staff.post(url(other), {"action": action, "_selected_action": other.pk, "post": "yes"})
    assert {model: model._default_manager.count() for model in before} == before
    assert theirs.workflow.refresh().enabled
    assert theirs.run.refresh().status == "queued"


def test_no_autocomplete_answers_about_another_tenant(staff: Client, ours: World, theirs: World) -> None:
    for app, model, field in (
        ("runs", "run", "workflow"),
        ("runs", "run", "tenant"),
        ("workflows", "step", "credential"),
        ("tenants", "membership", "user"),
        ("workflows", "workflowversion", "workflow"),
    ):
        query = {"app_label": app, "model_name": model, "field_name": field, "term": "globex"}
        response = staff.get("/admin/autocomplete/", query)
        assert response.status_code in (200, 403), (app, model, field)
        assert "globex" not in response.content.decode()


def test_another_tenants_credential_cannot_be_picked(staff: Client, ours: World, theirs: World) -> None:
    page = staff.get(url(ours.workflow, "change"))
    assert str(theirs.credential.pk) not in page.content.decode()
    data = {**sent(page), "steps-1-credential": str(theirs.credential.pk)}
    response = staff.post(url(ours.workflow, "change"), data)
    assert response.status_code == 200
    assert "Choose one of the tenant’s credentials." in response.content.decode().replace("&#x27;", "’")
    assert ours.workflow.refresh().revision == 1


def test_an_object_is_made_in_a_tenant_of_ones_own(staff: Client, ours: World, theirs: World) -> None:
    data = {"tenant": theirs.tenant.pk, "name": "sneaky", "settings": "{}", "output": ""}
    inlines = {f"{name}-{kind}_FORMS": "0" for name in ("steps", "triggers") for kind in ("TOTAL", "INITIAL")}
    response = staff.post(url(ours.workflow, "add"), {**data, **inlines})
    assert response.status_code == 200
    assert "Select a valid choice" in response.content.decode()
    assert staff.post(url(ours.workflow, "add"), {**data, **inlines, "tenant": ours.tenant.pk}).status_code == 302


def test_a_credential_of_one_own_tenant_does_not_go_into_a_workflow_of_another(
    ours: World, theirs: World, root: Client
) -> None:
    data = {"tenant": ours.tenant.pk, "name": "mixed", "settings": "{}", "output": ""}
    data |= {"steps-TOTAL_FORMS": "1", "steps-INITIAL_FORMS": "0"}
    data |= {"triggers-TOTAL_FORMS": "0", "triggers-INITIAL_FORMS": "0"}
    data |= {"steps-0-key": "a", "steps-0-action": "http.request", "steps-0-credential": str(theirs.credential.pk)}
    response = root.post(url(ours.workflow, "add"), data)
    assert response.status_code == 200
    assert "belongs to another tenant" in response.content.decode()


def test_a_superuser_sees_every_tenant(root: Client, ours: World, theirs: World) -> None:
    for mine, other in zip(ours.objects(), theirs.objects(), strict=True):
        page = root.get(url(mine)).content.decode()
        assert str(mine.pk) in page
        assert str(other.pk) in page


def test_an_editor_sees_no_audit_log_and_changes_no_people(
    ours: World, tenant: Tenant, staff_of: Callable[..., Client]
) -> None:
    editor = staff_of(tenant, Role.EDITOR)
    assert editor.get("/admin/tenants/auditevent/").status_code == 403
    assert editor.get("/admin/auth/user/").status_code == 403
    assert editor.get("/admin/tenants/membership/add/").status_code == 403
    assert editor.post(url(ours.tenant, "change"), {"name": "Mine"}).status_code == 403
    index = editor.get("/admin/").content.decode()
    assert "auditevent" not in index
    assert "/admin/auth/" not in index
    assert "token.created" not in index


def test_only_the_products_own_tables_are_registered() -> None:
    assert {model._meta.label_lower for model in site._registry} == {
        "auth.user",
        "tenants.tenant",
        "tenants.membership",
        "tenants.apitoken",
        "tenants.auditevent",
        "vault.credential",
        "workflows.workflow",
        "workflows.workflowversion",
        "runs.run",
        "runs.savedview",
    }


def test_views_of_others_are_for_admins_and_are_deleted_by_them(
    ours: World, tenant: Tenant, staff: Client, staff_of: Callable[..., Client]
) -> None:
    editor = staff_of(tenant, Role.EDITOR)
    assert "failures" not in editor.get(url(ours.view)).content.decode()
    assert editor.get(url(ours.view, "change")).status_code in (302, 404)
    assert editor.post(url(ours.view, "delete"), {"post": "yes"}).status_code in (302, 403, 404)
    assert type(ours.view).unscoped.filter(pk=ours.view.pk).exists()
    assert staff.post(url(ours.view, "delete"), {"post": "yes"}).status_code == 302
    assert not type(ours.view).unscoped.filter(pk=ours.view.pk).exists()
