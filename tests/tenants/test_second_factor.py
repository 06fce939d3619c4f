"""The second factor: set up with the password, asked for at every sign-in, each code once, and reset by admins."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pyotp
import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from orchestrator.errors import Conflict, Forbidden, Invalid
from orchestrator.tenants import second_factor as factors
from orchestrator.tenants.access import Actor, SecondFactorNeeded, actor_for_session, actor_for_token, actor_for_user
from orchestrator.tenants.models import (
    AuditEvent,
    Membership,
    PersonSession,
    RecoveryCode,
    Role,
    Scope,
    SecondFactor,
    SignInFailure,
    Tenant,
)
from orchestrator.tenants.qr import drawn
from orchestrator.tenants.services import token_create
from orchestrator.vault import crypto
from orchestrator.vault.rotation import key_use, rotate

ACCOUNT = "/account/"
FACTOR = "/account/second-factor/"
PASSWORD = "a good password"
HERE = "127.0.0.1"
NOW = 1_800_000_000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Stop the time that codes are compared with; return a function that moves it on by seconds."""
    at = [NOW]
    monkeypatch.setattr("orchestrator.tenants.second_factor.time.time", lambda: at[0])

    def move(seconds: int) -> None:
        at[0] += seconds

    return move


def told(tenant: Tenant) -> list[str]:
    """Return what the tenant's audit log says, the latest first."""
    return [event.action for event in AuditEvent.objects.for_tenant(tenant)]


def secret_of(user: User) -> str:
    factor = SecondFactor.objects.get(user=user)
    return crypto.unseal(factor.sealed, tenant_id=0, context=f"second_factor:{factor.pk}").decode()


def code(user: User, seconds: int = 0) -> str:
    return pyotp.TOTP(secret_of(user)).at(NOW + seconds)


def turned_on(user: User) -> list[str]:
    """Give a person a second factor; return the recovery codes. The code of half a minute ago is used up by it."""
    factors.factor_begin(user=user)
    return factors.factor_confirm(user=user, code=code(user, -30), address=HERE)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def with_password(user: User, target: str = "") -> tuple[Client, Any]:
    client = Client()
    data = {"username": user.get_username(), "password": PASSWORD, "next": target}
    return client, client.post("/sign-in/", data)


def is_in(client: Client) -> bool:
    return client.get(ACCOUNT).status_code == 200


def test_it_is_set_up_on_the_page_with_the_password_and_a_code(viewer: User, tenant: Tenant, clock: object) -> None:
    this, other = signed_in(viewer), signed_in(viewer)
    assert this.post(FACTOR, {"do": "begin", "password": "wrong"}).status_code == 400
    assert not SecondFactor.objects.exists()
    text = this.post(FACTOR, {"do": "begin", "password": PASSWORD}, follow=True).text
    secret = re.search(r'id="secret">([A-Z2-7 ]+)<', text)
    assert secret
    assert secret.group(1).replace(" ", "") == secret_of(viewer)
    assert 'role="img"' in text
    assert "style=" not in text
    assert not factors.has_factor(viewer)
    assert this.post(FACTOR, {"do": "confirm", "code": "000000"}).status_code == 400
    answer = this.post(FACTOR, {"do": "confirm", "code": code(viewer)})
    assert answer.status_code == 201
    assert "no-store" in answer["Cache-Control"]
    codes = re.findall(r"^(?:<pre[^>]*>)?((?:\w{4}-){3}\w{4})$", answer.text.replace("><pre", ">\n<pre"), re.M)
    assert len(set(codes)) == 10
    assert factors.has_factor(viewer)
    assert (is_in(this), is_in(other)) == (True, False)
    later = this.get(ACCOUNT).text
    assert secret.group(1) not in later
    assert codes[0] not in later
    assert "10 recovery codes are left." in later
    assert told(tenant) == ["factor.turned_on", "factor.begun"]


def test_signing_in_asks_for_a_code_and_goes_on_to_where_one_was(viewer: User, clock: object) -> None:
    turned_on(viewer)
    client, answer = with_password(viewer, "/w/acme/runs/")
    assert answer["Location"] == "/sign-in/code/?next=%2Fw%2Facme%2Fruns%2F"
    assert not is_in(client)
    assert not PersonSession.objects.filter(user=viewer).exists()
    assert 'value="/w/acme/runs/"' in client.get(answer["Location"]).text
    wrong = client.post("/sign-in/code/", {"code": "123", "next": "/w/acme/runs/"})
    assert (wrong.status_code, "This code is wrong" in wrong.text) == (400, True)
    before = client.session.session_key
    answer = client.post("/sign-in/code/", {"code": code(viewer), "next": "/w/acme/runs/"})
    assert answer["Location"] == "/w/acme/runs/"
    assert is_in(client)
    assert client.session.session_key != before


@pytest.mark.parametrize("target", ["https://evil.test/", "//evil.test/", "javascript:alert(1)", "\\\\evil.test"])
def test_a_code_leads_to_no_other_site(viewer: User, clock: object, target: str) -> None:
    turned_on(viewer)
    client, _answer = with_password(viewer)
    assert client.post("/sign-in/code/", {"code": code(viewer), "next": target})["Location"] == "/"


def test_a_code_counts_once_and_no_earlier_one_after_it(viewer: User, clock: Callable[[int], None]) -> None:
    turned_on(viewer)
    ahead = code(viewer, 30)
    factors.factor_check(user=viewer, code=ahead, address=HERE)
    for used in (ahead, code(viewer), code(viewer, -30)):
        with pytest.raises(Invalid):
            factors.factor_check(user=viewer, code=used, address=HERE)
    clock(60)
    factors.factor_check(user=viewer, code=f" {code(viewer, 60)[:3]} {code(viewer, 60)[3:]} ", address=HERE)


def test_codes_of_other_times_and_of_other_people_are_wrong(viewer: User, editor: User, clock: object) -> None:
    turned_on(viewer)
    turned_on(editor)
    for wrong in (code(viewer, -90), code(viewer, 60), code(viewer, 90), code(editor), "", "abc", "١٢٣٤٥٦", "\x00" * 6):
        SignInFailure.objects.all().delete()
        with pytest.raises(Invalid):
            factors.factor_check(user=viewer, code=wrong, address=HERE)


def test_a_code_is_that_of_the_rfc(monkeypatch: pytest.MonkeyPatch, viewer: User) -> None:
    """RFC 6238, appendix B, SHA-1, the last six of its eight digits."""
    factor = SecondFactor(user=viewer, confirmed_at=timezone.now())
    secret = b"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    sealed = crypto.seal(secret, tenant_id=0, context=f"second_factor:{factor.pk}")
    factor.sealed, factor.key_id = sealed.blob, sealed.key_id
    factor.save()
    for at, right in ((59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")):
        monkeypatch.setattr("orchestrator.tenants.second_factor.time.time", lambda at=at: at)
        factors.factor_check(user=viewer, code=right, address=HERE)


def test_guessing_codes_is_slowed_down_and_wrong_tries_stay_counted(viewer: User, clock: object) -> None:
    turned_on(viewer)
    client, _answer = with_password(viewer)
    for _ in range(5):
        client.post("/sign-in/code/", {"code": "000000"})
    answer = client.post("/sign-in/code/", {"code": code(viewer)})
    assert "Too many wrong codes." in answer.text
    assert not is_in(client)
    SignInFailure.objects.update(last_at=timezone.now() - timedelta(minutes=1))
    assert client.post("/sign-in/code/", {"code": code(viewer)}).status_code == 302


def test_guessing_at_the_set_up_stays_counted_too(viewer: User, clock: object) -> None:
    factors.factor_begin(user=viewer)
    for _ in range(5):
        with pytest.raises(Invalid):
            factors.factor_confirm(user=viewer, code="000000", address=HERE)
    with pytest.raises(Invalid, match="Too many"):
        factors.factor_confirm(user=viewer, code=code(viewer), address=HERE)


def test_a_recovery_code_signs_in_once(viewer: User, tenant: Tenant, clock: object) -> None:
    codes = turned_on(viewer)
    client, _answer = with_password(viewer)
    assert client.post("/sign-in/code/", {"code": codes[3].upper().replace("-", " ")}).status_code == 302
    client, _answer = with_password(viewer)
    assert client.post("/sign-in/code/", {"code": codes[3]}).status_code == 400
    assert factors.recovery_codes_left(viewer) == 9
    event = AuditEvent.objects.for_tenant(tenant).latest("pk")
    assert (event.action, event.detail) == ("factor.recovery_used", {"left": 9})


def test_new_recovery_codes_take_the_place_of_the_old(viewer: User, clock: object) -> None:
    old = turned_on(viewer)
    client = signed_in(viewer)
    assert client.post(FACTOR, {"do": "renew", "code": "000000"}).status_code == 400
    assert client.post(FACTOR, {"do": "renew", "code": code(viewer)}).status_code == 201
    with pytest.raises(Invalid):
        factors.factor_check(user=viewer, code=old[0], address=HERE)
    assert factors.recovery_codes_left(viewer) == 10


def test_it_is_turned_off_with_a_code_alone(viewer: User, clock: object) -> None:
    turned_on(viewer)
    client = signed_in(viewer)
    assert client.post(FACTOR, {"do": "off", "code": ""}).status_code == 400
    assert factors.has_factor(viewer)
    assert client.post(FACTOR, {"do": "begin", "password": PASSWORD}).status_code == 409
    assert client.post(FACTOR, {"do": "off", "code": code(viewer)}).status_code == 302
    assert not SecondFactor.objects.exists()
    assert not RecoveryCode.objects.exists()
    _client, answer = with_password(viewer)
    assert answer["Location"] == "/"


def test_what_was_begun_can_be_left_and_counts_for_nothing(viewer: User, tenant: Tenant) -> None:
    client = signed_in(viewer)
    client.post(FACTOR, {"do": "begin", "password": PASSWORD})
    _other, answer = with_password(viewer)
    assert answer["Location"] == "/"
    first = secret_of(viewer)
    client.post(FACTOR, {"do": "begin", "password": PASSWORD})
    assert secret_of(viewer) != first
    client.post(FACTOR, {"do": "cancel"})
    client.post(FACTOR, {"do": "cancel"})
    assert told(tenant) == ["factor.cancelled", "factor.begun", "factor.begun"]
    assert not SecondFactor.objects.exists()
    assert client.post(FACTOR, {"do": "confirm", "code": "000000"}).status_code == 409
    assert client.post(FACTOR, {"do": "nothing"}).status_code == 400


def test_a_given_password_waits_ten_minutes_and_ends_with_a_new_one(viewer: User, clock: object) -> None:
    turned_on(viewer)
    assert Client().get("/sign-in/code/")["Location"] == "/sign-in/"
    old, _answer = with_password(viewer)
    session = old.session
    session["held"] = {**session["held"], "at": session["held"]["at"] - 601}
    session.save()
    assert old.post("/sign-in/code/", {"code": code(viewer)})["Location"] == "/sign-in/"
    changed, _answer = with_password(viewer)
    viewer.set_password("another good password")
    viewer.save()
    assert changed.post("/sign-in/code/", {"code": code(viewer)})["Location"] == "/sign-in/"


def test_the_secret_and_the_codes_are_in_no_column_readable(viewer: User, clock: object) -> None:
    codes = turned_on(viewer)
    rows = str([*SecondFactor.objects.values(), *RecoveryCode.objects.values(), *AuditEvent.unscoped.values()])
    assert secret_of(viewer) not in rows
    assert not [each for each in codes if each in rows or each.replace("-", "") in rows]


def test_a_secret_moved_to_another_person_does_not_open(viewer: User, editor: User, clock: object) -> None:
    turned_on(viewer)
    turned_on(editor)
    theirs = SecondFactor.objects.get(user=editor)
    SecondFactor.objects.filter(user=viewer).update(sealed=theirs.sealed, key_id=theirs.key_id)
    with pytest.raises(Conflict, match="cannot be read"):
        factors.factor_check(user=viewer, code=code(editor), address=HERE)


def test_a_rotation_of_keys_reaches_it(viewer: User, clock: object, settings: Any) -> None:
    turned_on(viewer)
    settings.VAULT_KEYS = [b"f" * 32, *django_settings.VAULT_KEYS]
    assert [(step.moved, step.failed) for step in rotate() if step.column == "second_factor"] == [(1, ())]
    settings.VAULT_KEYS = [b"f" * 32]
    factors.factor_check(user=viewer, code=code(viewer), address=HERE)
    assert [use.values for use in key_use() if use.column == "second_factor"] == [1]


@pytest.fixture
def boss(owner: User, clock: object) -> Actor:
    """An owner who has a second factor, in a tenant that asks for it."""
    turned_on(owner)
    actor = actor_for_user(owner, "acme")
    factors.tenant_require_factor(actor=actor, required=True)
    return actor


def test_an_owner_requires_it_of_every_member(owner: User, tenant: Tenant, clock: object) -> None:
    client = signed_in(owner)
    address = "/w/acme/settings/factor/"
    assert "Set up your own second factor first" in client.post(address, {"required": "yes"}, follow=True).text
    turned_on(owner)
    client = signed_in(owner)
    assert "need a second factor from now on" in client.post(address, {"required": "yes"}, follow=True).text
    assert tenant.refresh().second_factor_required
    event = AuditEvent.objects.for_tenant(tenant).latest("pk")
    assert (event.action, event.detail) == ("tenant.changed", {"changed": ["second_factor_required"]})
    client.post(address, {"required": "no"})
    assert not tenant.refresh().second_factor_required


def test_only_owners_require_it(make_member: Callable[..., User], tenant: Tenant) -> None:
    admin = make_member(tenant, Role.ADMIN)
    assert signed_in(admin).post("/w/acme/settings/factor/", {"required": "yes"}).status_code == 403
    assert "Require it of every member" not in signed_in(admin).get("/w/acme/settings/").text


def test_a_member_without_it_is_led_to_set_it_up_and_comes_back(boss: Actor, viewer: User) -> None:
    client = signed_in(viewer)
    answer = client.get("/w/acme/runs/", follow=True)
    assert answer.redirect_chain == [("/account/?for=acme#second", 302)]
    assert "Acme asks its members for a second factor." in answer.text
    answer = client.post(FACTOR, {"do": "begin", "password": PASSWORD, "for": "acme"}, follow=True)
    assert answer.redirect_chain == [("/account/?for=acme#second", 302)]
    answer = client.post(FACTOR, {"do": "confirm", "code": code(viewer), "for": "acme"})
    assert "Go on to Acme" in answer.text
    assert client.get("/w/acme/runs/").status_code == 200


def test_without_it_nothing_of_the_tenant_is_reached(boss: Actor, editor: User, tenant: Tenant) -> None:
    User.objects.filter(pk=editor.pk).update(is_staff=True)
    client = signed_in(editor)
    assert client.post(reverse("workflow-new", args=["acme"])).status_code == 403
    assert client.get("/w/acme/runs/", headers={"HX-Request": "true"}).status_code == 403
    answer = client.get("/api/v1/workflows/", headers={"X-Tenant": "acme"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "second_factor")
    assert client.get("/admin/tenants/membership/").status_code == 302
    with pytest.raises(SecondFactorNeeded):
        actor_for_session(editor, "acme", {})
    turned_on(editor)
    client = signed_in(editor)
    assert client.get("/admin/tenants/membership/").status_code == 200
    assert client.get("/api/v1/workflows/", headers={"X-Tenant": "acme"}).status_code == 200


def test_an_unknown_tenant_still_looks_like_none(boss: Actor, stranger: User) -> None:
    assert signed_in(stranger).get("/w/acme/runs/").status_code == 404
    assert "Acme" not in signed_in(stranger).get("/account/?for=acme").text


def test_api_keys_go_on_without_it(boss: Actor, tenant: Tenant, editor: User) -> None:
    _token, plain = token_create(actor=actor_for_user(editor, "acme"), name="ci", scopes=[Scope.READ])
    assert actor_for_token(plain) is not None


def test_an_admin_resets_anothers_and_it_is_in_the_audit_log(boss: Actor, viewer: User, tenant: Tenant) -> None:
    assert boss.user is not None
    turned_on(viewer)
    theirs, client = signed_in(viewer), signed_in(boss.user)
    member = Membership.unscoped.get(user=viewer)
    assert "Reset it for viewer-of-acme" in client.get("/w/acme/settings/members/").text
    answer = client.post(f"/w/acme/settings/members/{member.pk}/factor/", follow=True)
    assert "The second factor of viewer-of-acme is off." in answer.text
    assert not factors.has_factor(viewer)
    assert not is_in(theirs)
    event = AuditEvent.objects.for_tenant(tenant).latest("pk")
    assert (event.action, event.actor, event.target_label) == ("factor.reset", boss.user, "viewer-of-acme")
    again = client.post(f"/w/acme/settings/members/{member.pk}/factor/", follow=True)
    assert "has no second factor" in again.text


def test_nobody_resets_what_protects_more_than_their_own_tenant(
    boss: Actor, viewer: User, editor: User, other_tenant: Tenant
) -> None:
    Membership.unscoped.create(tenant=other_tenant, user=viewer, role=Role.OWNER)
    User.objects.filter(pk=editor.pk).update(is_staff=True)
    for user in (viewer, editor):
        turned_on(user)
        with pytest.raises(Forbidden, match="Only your operator"):
            factors.factor_reset(actor=boss, membership=Membership.objects.for_tenant(boss.tenant).get(user=user))
        assert factors.has_factor(user)
    root = User.objects.create_superuser("root", password=PASSWORD)
    membership = Membership.objects.for_tenant(boss.tenant).get(user=viewer)
    factors.factor_reset(actor=actor_for_user(root, "acme"), membership=membership)
    assert not factors.has_factor(viewer)


def test_who_may_not_reset_does_not(
    boss: Actor, viewer: User, editor: User, make_member: Callable[..., User], tenant: Tenant
) -> None:
    assert boss.user is not None
    turned_on(viewer)
    members = Membership.objects.for_tenant(tenant)
    with pytest.raises(Forbidden):
        factors.factor_reset(actor=actor_for_user(editor, "acme"), membership=members.get(user=viewer))
    admin = actor_for_user(make_member(tenant, Role.ADMIN), "acme")
    with pytest.raises(Forbidden, match="role owner"):
        factors.factor_reset(actor=admin, membership=members.get(user=boss.user))
    with pytest.raises(Conflict, match="Your account"):
        factors.factor_reset(actor=boss, membership=members.get(user=boss.user))


def test_a_code_is_drawn_within_its_border() -> None:
    drawing = drawn("otpauth://totp/Orchestrator:ada?secret=ABC&issuer=Orchestrator")
    corners = [(int(x), int(y), int(w)) for x, y, w in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", drawing.path)]
    assert corners[0] == (4, 4, 7)
    assert min(x for x, _y, _w in corners) == min(y for _x, y, _w in corners) == 4
    assert max(x + w for x, _y, w in corners) == drawing.size - 4


@pytest.mark.django_db(transaction=True)
def test_guesses_at_once_are_counted_like_those_one_after_the_other(
    viewer: User, clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    turned_on(viewer)
    looked_at: list[str] = []
    takes = factors._takes

    def look(factor: SecondFactor, typed: str) -> bool:
        looked_at.append(typed)
        time.sleep(0.02)
        return takes(factor, typed)

    monkeypatch.setattr(factors, "_takes", look)

    def guess(number: int) -> str:
        try:
            factors.factor_check(user=viewer, code=f"{number:06}", address=HERE)
        except Invalid as error:
            return error.message
        finally:
            connections.close_all()
        return ""

    with ThreadPoolExecutor(12) as pool:
        said = list(pool.map(guess, range(12)))
    assert all(said)
    # Four are free, and the fifth is the one that begins the wait.
    assert len(looked_at) <= 5
