"""Your account: a new password for who knows the old one, and sessions that are listed and ended."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from orchestrator.tenants.models import AuditEvent, PersonSession, SignInFailure, Tenant

ACCOUNT = "/account/"
PASSWORD = "a good password"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
)
NEW = {"current": PASSWORD, "new": "correct horse battery", "again": "correct horse battery"}


def signed_in(user: User, agent: str = FIREFOX) -> Client:
    """Return a browser whose person has signed in on the page."""
    client = Client(headers={"user-agent": agent})
    answer = client.post("/sign-in/", {"username": user.get_username(), "password": PASSWORD})
    assert answer.status_code == 302
    return client


def is_in(client: Client) -> bool:
    return client.get(ACCOUNT).status_code == 200


def test_the_page_asks_for_sign_in(client: Client, db: None) -> None:
    for method, path in (("get", ""), ("post", "password/"), ("post", "sessions/end/")):
        answer = getattr(client, method)(ACCOUNT + path)
        assert (answer.status_code, answer["Location"].partition("?")[0]) == (302, "/sign-in/")


def test_a_new_password_counts_at_once_and_ends_the_other_sessions(viewer: User, tenant: Tenant) -> None:
    this, other = signed_in(viewer), signed_in(viewer)
    answer = this.post(f"{ACCOUNT}password/", NEW, follow=True)
    assert "The password is changed" in answer.text
    assert (is_in(this), is_in(other)) == (True, False)
    assert PersonSession.objects.filter(user=viewer).count() == 1
    viewer.refresh_from_db()
    assert viewer.check_password("correct horse battery")
    event = AuditEvent.objects.for_tenant(tenant).get()
    assert (event.action, event.actor_label, event.detail) == (
        "user.changed", viewer.get_username(), {"changed": ["password"]},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"current": "wrong"}, "This is not your password."),
        ({"current": ""}, "This is not your password."),
        ({"again": "another one"}, "The two passwords differ."),
        ({"new": "12345678", "again": "12345678"}, "too common"),
        ({"new": "", "again": ""}, "too short"),
        ({"new": "viewer-of-acme", "again": "viewer-of-acme"}, "too similar"),
        ({"current": "\x00"}, "This is not your password."),
    ],
)
def test_what_is_wrong_is_said_and_the_password_stays(viewer: User, given: dict[str, str], said: str) -> None:
    answer = signed_in(viewer).post(f"{ACCOUNT}password/", {**NEW, **given})
    assert (answer.status_code, said in answer.text) == (400, True)
    assert "correct horse" not in answer.text
    viewer.refresh_from_db()
    assert viewer.check_password(PASSWORD)


def test_no_password_at_all_changes_nothing(viewer: User) -> None:
    answer = signed_in(viewer).post(f"{ACCOUNT}password/", {"current": PASSWORD})
    assert answer.status_code == 400
    viewer.refresh_from_db()
    assert viewer.check_password(PASSWORD)


def test_guessing_the_present_password_is_slowed_down(viewer: User) -> None:
    client = signed_in(viewer)
    for _ in range(5):
        client.post(f"{ACCOUNT}password/", {**NEW, "current": "wrong"})
    answer = client.post(f"{ACCOUNT}password/", NEW)
    assert (answer.status_code, "Too many wrong tries." in answer.text) == (400, True)
    SignInFailure.objects.update(last_at=timezone.now() - timedelta(minutes=1))
    assert client.post(f"{ACCOUNT}password/", NEW).status_code == 302


def test_sessions_are_listed_and_one_is_ended(viewer: User, editor: User) -> None:
    this, other, third = signed_in(viewer), signed_in(viewer, CHROME), signed_in(editor, CHROME)
    text = this.get(ACCOUNT).text
    assert re.findall(r'<div class="med brk">([^<]*)</div>', text) == ["Firefox, Linux", "Chrome, Windows"]
    assert "127.0.0.1" in text
    assert all(str(client.session.session_key) not in text for client in (this, other))
    mark = re.search(r'name="mark" value="(\w+)"', text)
    assert mark
    # Somebody else's mark ends nothing.
    assert "no such session" in third.post(f"{ACCOUNT}sessions/end/", {"mark": mark.group(1)}, follow=True).text
    assert "1 session is ended." in this.post(f"{ACCOUNT}sessions/end/", {"mark": mark.group(1)}, follow=True).text
    assert (is_in(this), is_in(other), is_in(third)) == (True, False, True)


def test_all_others_are_ended_at_once_and_this_one_stays(viewer: User, tenant: Tenant) -> None:
    this, *others = (signed_in(viewer) for _ in range(3))
    assert "2 sessions are ended." in this.post(f"{ACCOUNT}sessions/end/", follow=True).text
    event = AuditEvent.objects.for_tenant(tenant).get()
    assert (event.action, event.actor, event.detail) == ("user.sessions_ended", viewer, {"count": 2})
    # Nothing was ended, so nothing is told.
    this.post(f"{ACCOUNT}sessions/end/")
    assert AuditEvent.objects.for_tenant(tenant).count() == 1
    assert is_in(this)
    assert not any(is_in(other) for other in others)


def test_a_session_that_is_over_is_not_listed_and_goes_with_the_next_sign_in(viewer: User) -> None:
    signed_in(viewer)
    PersonSession.objects.update(expire_date=timezone.now() - timedelta(days=1))
    client = signed_in(viewer)
    assert client.get(ACCOUNT).text.count('class="med brk"') == 1
    assert PersonSession.objects.count() == 1


def test_signing_out_ends_the_session(viewer: User) -> None:
    client = signed_in(viewer)
    client.post("/sign-out/")
    assert not PersonSession.objects.filter(user=viewer).exists()


def test_the_page_takes_few_queries(viewer: User, django_assert_max_num_queries: Callable[..., Any]) -> None:
    clients = [signed_in(viewer) for _ in range(6)]
    with django_assert_max_num_queries(6):
        clients[0].get(ACCOUNT)


def test_sessions_from_before_are_taken_along(viewer: User) -> None:
    client = signed_in(viewer)
    row = PersonSession.objects.get()
    Session.objects.create(session_key=row.session_key, session_data=row.session_data, expire_date=row.expire_date)
    PersonSession.objects.all().delete()
    migration: Any = import_module("orchestrator.tenants.migrations.0003_sessions")
    migration.move_sessions(apps, None)
    assert (PersonSession.objects.get().user, Session.objects.exists()) == (viewer, False)
    assert is_in(client)
