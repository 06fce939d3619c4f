"""Lists: cursor pages that cannot be forged, and as many queries for many rows as for one."""

from __future__ import annotations

from base64 import b64encode

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orchestrator.tenants.models import Membership, Role, Tenant
from tests.api.conftest import Caller, document

pytestmark = pytest.mark.django_db
LISTS = ("workflows/", "runs/", "triggers/", "credentials/", "tokens/", "members/", "audit/")
# Who calls takes two queries; the rest is the list's own.
QUERIES = {"workflows/": 5, "runs/": 3, "triggers/": 3, "credentials/": 7, "tokens/": 3, "members/": 3, "audit/": 3}


def fill(api: Caller, tenant: Tenant, start: int, count: int) -> None:
    for number in range(start, start + count):
        made = api.ok("POST", "workflows/", document(f"W{number}"))["id"]
        api.ok("POST", f"workflows/{made}/publish/", {})
        api.ok("POST", f"workflows/{made}/runs/", {})
        secret = {"provider": "slack", "auth_type": "bearer_token", "secret": {"token": "x"}}
        api.ok("POST", "credentials/", {"name": f"c{number}", **secret})
        step = {"key": "a", "action": "slack.sendMessage", "credential": f"c{number}"}
        api.ok("PATCH", f"workflows/{made}/", {"steps": [step], "output": None})
        api.ok("POST", "tokens/", {"name": f"t{number}", "scopes": ["read"]})
        Membership.unscoped.create(tenant=tenant, user=User.objects.create_user(f"user{number}"), role=Role.VIEWER)


def test_a_list_takes_the_same_queries_for_many_rows_as_for_one(api: Caller, tenant: Tenant) -> None:
    seen = []
    for start, count in ((0, 1), (1, 4)):
        fill(api, tenant, start, count)
        counts = {}
        for path in LISTS:
            with CaptureQueriesContext(
                connection,
            ) as queries:
                assert len(api.ok("GET", path)["results"]) > start, path
            counts[path] = len(queries)
        seen.append(counts)
    assert seen == [QUERIES, QUERIES]


def test_detail_takes_few_queries(api: Caller, tenant: Tenant) -> None:
    fill(api, tenant, 0, 1)
    run, workflow = (api.ok("GET", path)["results"][0]["id"] for path in ("runs/", "workflows/"))
    credential = api.ok("GET", "credentials/")["results"][0]["id"]
    for path, limit in (
        (f"runs/{run}/", 6), (f"runs/{run}/?after=1", 3), (f"runs/{run}/steps/", 6), (f"workflows/{workflow}/", 7),
        (f"workflows/{workflow}/versions/", 4), (f"credentials/{credential}/", 6),
    ):  # fmt: skip
        with CaptureQueriesContext(connection) as queries:
            assert api("GET", path).status_code in (200, 204)
        assert len(queries) <= limit, (path, len(queries))


def test_the_first_page_leads_to_the_last_and_back(api: Caller) -> None:
    names = [api.ok("POST", "workflows/", document(f"W{number}"))["name"] for number in range(5)]
    pages = [api.ok("GET", "workflows/?limit=2")]
    while pages[-1]["next"]:
        pages.append(api.ok("GET", pages[-1]["next"].partition("/api/v1/")[2]))
    assert [row["name"] for page in pages for row in page["results"]] == names[::-1]
    back = api.ok("GET", pages[-1]["previous"].partition("/api/v1/")[2])
    assert [row["name"] for row in back["results"]] == [row["name"] for row in pages[1]["results"]]


@pytest.mark.parametrize(
    "cursor", [b"p=abc", b"p=%00", b"p=" + b"9" * 40, b"p=-1", b"p=1.5", b"p=\xd9\xa3", b"p=", b"o=x", b"r=x", b"\xff"]
)  # fmt: skip
def test_a_forged_cursor_is_not_found(api: Caller, cursor: bytes) -> None:
    text = b64encode(cursor).decode().replace("=", "%3D")
    for path in LISTS:
        assert api("GET", f"{path}?cursor={text}").status_code == 404, path


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("since=0001-01-01T00:00:00%2B14:00", 400), ("since=9999-12-31T23:59:59-14:00", 400), ("since=2026-01-01", 400),
        ("since=2026-01-01T00:00:00", 400), ("since=2026-01-01T00:00:00Z", 200),
        ("since=2026-01-01T00:00:00+02:00", 200),
        ("q=" + "x" * 201, 400), ("q=a%00b", 400), ("q=%ED%A0%80", 200), ("q=%25_%5C", 200), ("status=odd", 400),
        ("workflow=abc", 404), ("workflow=" + "9" * 19, 404),
    ],
)  # fmt: skip
def test_a_filter_of_runs_is_taken_or_told(api: Caller, query: str, status: int) -> None:
    assert api("GET", f"runs/?{query}").status_code == status
