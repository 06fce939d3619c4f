"""The settings page, the way to a provider, and what a tenant that requires it lets in."""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib import import_module
from typing import Any
from urllib.parse import urlencode

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from orchestrator.errors import Conflict
from orchestrator.tenants import oidc, services
from orchestrator.tenants.access import actor_for_user
from orchestrator.tenants.models import AuditEvent, Membership, Role, Scope, SignOnDomain, SingleSignOn, Tenant
from orchestrator.tenants.sign_on_domains import domain_confirm, domain_release
from orchestrator.tenants.single_sign_on import client_of, single_sign_on_require
from orchestrator.vault.rotation import key_use, rotate
from tests.oidc_provider import CLIENT_ID, CLIENT_SECRET, Provider
from tests.tenants.sso.conftest import PASSWORD, Browser, by_password, linked, set_up

pytestmark = pytest.mark.django_db
PAGE = "/w/acme/settings/sso/"


def entered(provider: Provider, **changes: str) -> dict[str, str]:
    return {"issuer": provider.address, "client_id": CLIENT_ID, "secret": CLIENT_SECRET, **changes}


def secret_of(found: SingleSignOn) -> str:
    return client_of(found, "").secret


def test_an_owner_sets_the_provider_and_the_secret_is_not_shown_again(
    owner: User, provider: Provider, tenant: Tenant
) -> None:
    client = by_password(owner).client
    assert "http://testserver/sso/acme/callback/" in client.get(PAGE).text
    data = entered(
        provider, domains="Acme.test\nb\u00fccher.example\n", new_role="editor", group_claim="groups",
        group_roles="staff = editor\na = b = Viewer",
    )  # fmt: skip
    answer = client.post(PAGE, data, follow=True)
    assert "Saved: the provider answers." in answer.text
    found = SingleSignOn.objects.for_tenant(tenant).get()
    assert secret_of(found) == CLIENT_SECRET
    assert CLIENT_SECRET.encode() not in bytes(found.sealed)
    assert CLIENT_SECRET not in answer.text
    assert found.group_roles == {"staff": "editor", "a = b": "viewer"}
    assert set(SignOnDomain.unscoped.values_list("domain", flat=True)) == {"acme.test", "xn--bcher-kva.example"}
    event = AuditEvent.objects.for_tenant(tenant).get(action="sso.set")
    assert CLIENT_SECRET not in str(event.detail)
    assert client.post(PAGE, {**data, "secret": "", "client_id": "other"}).status_code == 302
    assert secret_of(SingleSignOn.unscoped.get()) == CLIENT_SECRET
    assert client.post(PAGE, {**data, "secret": "", "public": "yes"}).status_code == 302
    assert SingleSignOn.unscoped.get().key_id == ""


def test_the_secret_goes_to_no_other_issuer_unseen(
    acme: SingleSignOn, owner: User, provider: Provider, other_provider: Provider
) -> None:
    client = by_password(owner).client
    answer = client.post(PAGE, entered(other_provider, secret=""))
    assert (answer.status_code, "To send the secret to another issuer" in answer.text) == (400, True)
    assert SingleSignOn.unscoped.get().issuer == provider.address
    assert client.post(PAGE, entered(other_provider)).status_code == 302


def test_the_secret_moves_to_a_new_key(acme: SingleSignOn, settings: Any) -> None:
    settings.VAULT_KEYS = (b"n" * 32, *settings.VAULT_KEYS)
    assert sum(each.moved for each in rotate() if each.column == "single_sign_on") == 1
    assert {use.values for use in key_use() if use.column == "single_sign_on" and use.first} == {1}
    assert secret_of(SingleSignOn.unscoped.get()) == CLIENT_SECRET


def test_a_lost_key_is_said(acme: SingleSignOn, settings: Any, browser: Browser) -> None:
    settings.VAULT_KEYS = (b"n" * 32,)
    answer = browser.client.get("/sso/acme/")
    assert (answer.status_code, "client secret cannot be read" in answer.text) == (400, True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"issuer": "http://login.example.com"}, "must begin with https://"),
        ({"issuer": "https://10.0.0.1"}, "may not be reached from here"),
        ({"issuer": ""}, "Write an address like"),
        ({"client_id": ""}, "Enter the ID"),
        ({"client_id": "a\x00b"}, "Enter the ID"),
        ({"secret": "a\x00b"}, "Enter the secret"),
        ({"domains": "not a domain"}, "is no domain"),
        ({"domains": "com"}, "is no domain"),
        ({"domains": "a..b.test"}, "is no domain"),
        ({"domains": "\n".join(f"d{n}.test" for n in range(60))}, "at most 50 domains"),
        ({"new_role": "owner"}, "Choose a role"),
        ({"new_role": "god"}, "Choose a role"),
        ({"group_roles": "staff = editor"}, "Say which claim"),
        ({"group_claim": "groups", "group_roles": "staff = owner"}, "owners are made by owners"),
        ({"group_claim": "groups", "group_roles": "editor"}, "Write one a line"),
        ({"group_claim": "two words"}, "Write the claim"),
        ({"group_claim": "groups", "group_roles": "a\x00b = editor"}, "200 visible characters"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_saved(
    changes: dict[str, str], said: str, owner: User, provider: Provider
) -> None:
    answer = by_password(owner).client.post(PAGE, entered(provider, **changes))
    assert answer.status_code == 400
    assert said in answer.text
    assert CLIENT_SECRET not in answer.text
    assert not SingleSignOn.unscoped.exists()


def led(who: str) -> str:
    """Return where the sign-in page leads, empty for nowhere."""
    answer = Client().post("/sso/", {"who": who})
    return str(answer.get("Location", ""))


def test_a_claim_leads_nobody_before_an_operator_confirmed_it(
    set_acme: Callable[..., SingleSignOn], tenant: Tenant, owner: User
) -> None:
    set_acme(domains=("acme.test",))
    assert led("eve@acme.test") == ""
    assert led("acme") == "/sso/acme/"
    page = by_password(owner).client.get(PAGE).text
    assert "These domains wait for your operator to confirm that they are yours: acme.test." in page
    for _time in range(2):
        domain_confirm(tenant=tenant, domain="ACME.test")
    assert led("eve@acme.test") == "/sso/acme/"
    assert "wait for your operator" not in by_password(owner).client.get(PAGE).text
    set_acme(domains=("acme.test", "more.test"))
    assert (led("eve@acme.test"), led("eve@more.test")) == ("/sso/acme/", "")
    domain_release(tenant=tenant, domain="acme.test")
    assert led("eve@acme.test") == ""
    said = list(AuditEvent.objects.for_tenant(tenant).filter(action__startswith="sso.domain").order_by("pk"))
    assert [(event.action, event.target_label) for event in said] == [
        ("sso.domain_confirmed", "acme.test"), ("sso.domain_released", "acme.test"),
    ]  # fmt: skip


def test_who_claims_somebody_elses_domain_neither_gets_its_people_nor_keeps_it_from_them(
    set_acme: Callable[..., SingleSignOn], stranger: User, other_provider: Provider, tenant: Tenant
) -> None:
    """The hostile tenant is first, and is the last to hear whose domain it is."""
    hostile = by_password(stranger).client
    assert hostile.post("/w/globex/settings/sso/", entered(other_provider, domains="acme.test")).status_code == 302
    assert led("eve@acme.test") == ""
    set_acme(domains=("acme.test",))
    domain_confirm(tenant=tenant, domain="acme.test")
    assert led("eve@acme.test") == "/sso/acme/"
    assert hostile.post("/w/globex/settings/sso/", entered(other_provider, domains="")).status_code == 302
    assert hostile.post("/w/globex/settings/sso/", entered(other_provider, domains="ACME.test")).status_code == 302
    assert led("eve@acme.test") == "/sso/acme/"
    globex = Tenant.objects.get(slug="globex")
    with pytest.raises(Conflict, match="led to the tenant acme"):
        domain_confirm(tenant=globex, domain="acme.test")
    domain_release(tenant=tenant, domain="acme.test")
    domain_confirm(tenant=globex, domain="acme.test")
    assert led("eve@acme.test") == "/sso/globex/"


def test_what_an_operator_enters_is_confirmed_and_what_waits_there_is_not(
    set_acme: Callable[..., SingleSignOn], provider: Provider, other_provider: Provider, stranger: User
) -> None:
    set_acme(domains=("waits.test",))
    client = by_password(User.objects.create_superuser("root", password=PASSWORD)).client
    assert client.post(PAGE, entered(provider, domains="waits.test\nentered.test")).status_code == 302
    assert (led("eve@waits.test"), led("eve@entered.test")) == ("", "/sso/acme/")
    set_up(stranger, "globex", other_provider)
    answer = client.post("/w/globex/settings/sso/", entered(other_provider, domains="entered.test"))
    assert answer.status_code == 302
    assert led("eve@entered.test") == "/sso/acme/", "it is no way round a release"


def test_what_was_claimed_before_there_were_confirmations_leads_as_it_did(
    set_acme: Callable[..., SingleSignOn],
) -> None:
    set_acme(domains=("acme.test",))
    import_module("orchestrator.tenants.migrations.0006_confirmed_domains").confirm(apps, None)
    assert led("eve@acme.test") == "/sso/acme/"


def test_the_operators_command_lists_confirms_and_releases(
    set_acme: Callable[..., SingleSignOn], tenant: Tenant
) -> None:
    set_acme(domains=("acme.test", "b\u00fccher.example"))

    def said(*words: str) -> str:
        out = io.StringIO()
        call_command("domain", *words, stdout=out)
        return out.getvalue()

    assert said("list", "--waiting") == "acme.test  acme  waits\nxn--bcher-kva.example  acme  waits\n"
    assert said("confirm", "--tenant", "acme", "B\u00fccher.example") == (
        "People of xn--bcher-kva.example are led to acme.\n"
    )
    assert said("list", "--waiting") == "acme.test  acme  waits\n"
    assert "xn--bcher-kva.example  acme  confirmed 2" in said("list")
    assert said("release", "--tenant", "acme", "xn--bcher-kva.example").startswith("Nobody is led to acme by ")
    with pytest.raises(CommandError, match="acme does not claim"):
        said("confirm", "--tenant", "acme", "else.test")


def test_admins_read_owners_change_and_others_see_nothing(
    acme: SingleSignOn, provider: Provider, tenant: Tenant, make_member: Callable[..., User], editor: User
) -> None:
    admin = by_password(make_member(tenant, Role.ADMIN)).client
    text = admin.get(PAGE).text
    assert provider.address in text
    assert "<input" not in text.partition('aria-labelledby="provider"')[2].partition("</section>")[0]
    for path in (PAGE, f"{PAGE}require/", f"{PAGE}remove/"):
        assert admin.post(path, entered(provider)).status_code == 403
    assert by_password(editor).client.get(PAGE).status_code == 403


def test_it_is_required_once_it_has_worked_and_owners_keep_a_way_in(
    acme: SingleSignOn, provider: Provider, owner: User, editor: User, tenant: Tenant
) -> None:
    acting = actor_for_user(owner, "acme")
    with pytest.raises(Conflict, match="Sign in through it once"):
        single_sign_on_require(actor=acting, required=True)
    before = by_password(editor)
    linked(before, provider)
    with_mark = before
    boss = by_password(owner)
    assert boss.client.post(f"{PAGE}require/", {"required": "yes"}).status_code == 302
    assert with_mark.opens("acme")
    later = by_password(editor)
    assert not later.opens("acme")
    assert later.client.get("/w/acme/runs/?status=failed")["Location"] == (
        "/sso/acme/?next=%2Fw%2Facme%2Fruns%2F%3Fstatus%3Dfailed"
    )
    assert later.client.post("/w/acme/developers/keys/").status_code == 403
    assert later.client.get("/api/v1/workflows/", headers={"X-Tenant": "acme"}).status_code == 403
    answer = later.through(provider, query="?next=/w/acme/runs/%3Fstatus=failed")
    assert answer["Location"] == "/w/acme/runs/?status=failed"
    assert later.opens("acme")
    boss = by_password(owner)
    assert boss.opens("acme")
    assert AuditEvent.objects.for_tenant(tenant).filter(action="sso.passed_by", actor=owner).count() == 1
    _token, text = services.token_create(actor=actor_for_user(editor, "acme"), name="k", scopes=[Scope.READ])
    assert Client().get("/api/v1/workflows/", headers={"Authorization": f"Bearer {text}"}).status_code == 200


def test_staff_meet_the_same_rule_in_the_admin(acme: SingleSignOn, provider: Provider, editor: User) -> None:
    User.objects.filter(pk=editor.pk).update(is_staff=True)
    this = by_password(editor)
    linked(this, provider)
    Tenant.objects.filter(slug="acme").update(single_sign_on_required=True)
    assert this.client.get("/admin/tenants/membership/").status_code == 200
    assert by_password(editor).client.get("/admin/tenants/membership/").status_code == 302


def test_single_sign_on_is_a_factor_of_its_own(acme: SingleSignOn, provider: Provider, browser: Browser) -> None:
    Tenant.objects.filter(slug="acme").update(second_factor_required=True)
    browser.through(provider)
    assert browser.opens("acme")
    text = browser.client.get("/w/acme/settings/members/").text
    # Of its owner, who has neither.
    assert text.count("No second factor yet") == 1
    assert '<div class="xs mute">Single sign-on</div>' in text


def test_what_a_provider_said_counts_for_twelve_hours(
    acme: SingleSignOn, provider: Provider, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.through(provider)
    assert browser.opens("acme")
    monkeypatch.setattr("orchestrator.tenants.sign_on_sessions.COUNTS_FOR", 0.0)
    assert browser.client.get("/w/acme/")["Location"] == "/sso/acme/?next=%2Fw%2Facme%2F"


def test_removing_it_lets_passwords_in_again(acme: SingleSignOn, owner: User, editor: User) -> None:
    Tenant.objects.filter(slug="acme").update(single_sign_on_required=True)
    assert by_password(owner).client.post(f"{PAGE}remove/").status_code == 302
    assert not SignOnDomain.unscoped.exists()
    assert by_password(editor).opens("acme")


def test_who_came_through_a_provider_is_signed_out_when_it_is_left(
    set_acme: Callable[..., SingleSignOn], provider: Provider, other_provider: Provider, owner: User, editor: User
) -> None:
    set_acme()
    boss, with_password = by_password(owner), by_password(editor)
    provider.subject = "sub-boss"
    linked(boss, provider)
    provider.subject = "sub-ada"
    for leave in (lambda: set_up(owner, "acme", other_provider), lambda: boss.client.post(f"{PAGE}remove/")):
        browser = Browser(client=Client())
        is_first = SingleSignOn.unscoped.get().issuer == provider.address
        browser.through(provider if is_first else other_provider)
        assert browser.opens("acme")
        leave()
        assert browser.client.get("/account/").status_code == 302
        assert (boss.opens("acme"), with_password.opens("acme")) == (True, True)


# The way there.


@pytest.mark.parametrize(
    ("who", "address"),
    [
        ("acme", "/sso/acme/"), (" ACME ", "/sso/acme/"), ("eve@Acme.test", "/sso/acme/"), ("globex", ""),
        ("nothing", ""), ("eve@else.test", ""), ("@", ""), ("a@acme.test\x00", ""), ("eve@sub.acme.test", ""),
    ],
)  # fmt: skip
def test_a_name_or_an_address_leads_to_the_tenants_provider(
    who: str, address: str, set_acme: Callable[..., SingleSignOn], other_tenant: Tenant, browser: Browser
) -> None:
    set_acme(domains=("acme.test",))
    domain_confirm(tenant=Tenant.objects.get(slug="acme"), domain="acme.test")
    for field in ("who", "username"):
        answer = browser.client.post("/sso/", {field: who, "password": "typed", "next": "/w/acme/runs/"})
        if address:
            assert answer["Location"] == f"{address}?next=%2Fw%2Facme%2Fruns%2F"
        else:
            assert answer.status_code == 404
            assert "There is no single sign-on for this name or address." in answer.text
            assert "typed" not in answer.text


def test_the_sign_in_page_has_the_button_and_asks_where_nothing_was_typed(browser: Browser, db: None) -> None:
    assert 'formaction="/sso/"' in browser.client.get("/sign-in/").text
    answer = browser.client.post("/sso/", {"username": "", "password": ""})
    assert (answer.status_code, "E-mail address or tenant" in answer.text) == (200, True)


@pytest.mark.parametrize(
    "target", ["https://evil.test/", "//evil.test", "javascript:alert(1)", "\\\\evil.test", "x" * 9]
)
def test_nobody_is_led_to_another_site(target: str, acme: SingleSignOn, provider: Provider, browser: Browser) -> None:
    answer = browser.through(provider, query=f"?{urlencode({'next': target})}")
    assert answer["Location"] == "/w/acme/"
    assert browser.client.post("/sso/", {"who": "acme", "next": target})["Location"] == "/sso/acme/"


def test_a_tenant_without_one_and_none_at_all_look_alike(tenant: Tenant, browser: Browser) -> None:
    pages = [browser.client.get(f"/sso/{slug}/") for slug in ("acme", "nothing")]
    assert [page.status_code for page in pages] == [404, 404]
    assert pages[0].text == pages[1].text.replace("nothing", "acme")


def test_the_page_names_the_tenant_and_where_one_goes_and_asks_little(
    acme: SingleSignOn, provider: Provider, browser: Browser, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    browser.client.get("/sso/acme/")
    with django_assert_max_num_queries(8):
        answer = browser.client.get("/sso/acme/")
    assert "Sign in to Acme" in answer.text
    assert "Go on to 127.0.0.1" in answer.text
    assert "no-store" in answer["Cache-Control"]
    assert provider.calls == ["/.well-known/openid-configuration"]
    # Of a browser that comes again and again little is kept.
    for _ in range(9):
        browser.client.get("/sso/acme/")
    assert len(browser.client.session["sign_on_asked"]) == 5
    assert browser.client.session.get_expiry_age() <= 900
    browser.through(provider)
    assert browser.client.session.get_expiry_age() > 86_400


def test_the_settings_page_takes_few_queries(
    acme: SingleSignOn, owner: User, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    client = by_password(owner).client
    with django_assert_max_num_queries(8):
        assert client.get(PAGE).status_code == 200


def test_a_provider_that_is_down_is_said(acme: SingleSignOn, provider: Provider, browser: Browser, owner: User) -> None:
    oidc._known.clear()
    provider.answers["/.well-known/openid-configuration"] = (503, b"{}")
    answer = browser.client.get("/sso/acme/")
    assert (answer.status_code, "answered 503" in answer.text) == (400, True)
    saved = by_password(owner).client.post(PAGE, entered(provider))
    assert (saved.status_code, "answered 503" in saved.text) == (400, True)


def test_a_session_of_single_sign_on_ends_here_alone(acme: SingleSignOn, provider: Provider, browser: Browser) -> None:
    browser.through(provider)
    asked = len(provider.calls)
    browser.client.post("/sign-out/")
    assert browser.user is None
    assert len(provider.calls) == asked


def test_a_member_removed_meanwhile_is_out_at_once(acme: SingleSignOn, provider: Provider, tenant: Tenant) -> None:
    browser = Browser(client=Client())
    browser.through(provider)
    Membership.objects.for_tenant(tenant).filter(user=browser.user).delete()
    assert browser.client.get("/w/acme/").status_code == 404


def test_an_operator_is_owner_everywhere_and_linked_nowhere(acme: SingleSignOn, provider: Provider) -> None:
    client = by_password(User.objects.create_superuser("root", password=PASSWORD)).client
    assert client.get(PAGE).status_code == 200
    assert "Link your own account" not in client.get(PAGE).text
    assert client.post("/account/sso/", {"do": "begin", "for": "acme", "password": PASSWORD}).status_code == 409
    assert client.post(PAGE, entered(provider, domains="")).status_code == 302
