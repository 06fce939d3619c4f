"""Files in a run's values: the page offers them, and they come as a download that no browser shows."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from integrations.sdk import FileValue
from orchestrator.tenants.models import Tenant
from runs.models import Payload, Run, StepRun
from runs.pages.files import FILES_SHOWN, files_in
from runs.values import split
from tests.runs.ground import make_workflow
from tests.runs.loops_ground import Rows, new_run, step

PAGE = b"<script>alert(1)</script>"
FILE = FileValue.of(PAGE, name='a "b"\u2028.html', type="text/html").model_dump()


@pytest.fixture
def browser(client: Client, viewer: User) -> Client:
    client.force_login(viewer)
    return client


def a_run(tenant: Tenant, output: Any, **more: Any) -> Run:
    run = new_run(make_workflow(tenant, step("get"), slug="files"))
    rows = Rows(run)
    rows.add("get", inputs={"of": "x"}, output=output, **more)
    return rows.save()


def test_files_are_found_wherever_they_are_in_a_value_and_only_the_first_ones() -> None:
    assert [path for path, _ in files_in({"list": [{"deep": {"x-y": FILE}}], "file": FILE})] == [
        'list[0].deep["x-y"]',
        "file",
    ]
    assert files_in(FILE) == [("", FILE)]
    assert files_in({**FILE, "more": 1}) == []
    assert len(files_in([FILE] * 50)) == FILES_SHOWN
    assert files_in([[]] * 100_000) == []


def test_a_file_is_offered_and_comes_as_a_download(browser: Client, tenant: Tenant) -> None:
    run = a_run(tenant, {"body": {"files": [FILE]}})
    page = browser.get(reverse("run", args=["acme", run.pk]), {"step": "get"})
    (link,) = page.context["page"].inspector.values[1].files
    assert (link.name, link.size) == ('a "b".html', len(PAGE))
    assert "Download a &quot;b&quot;.html, 25" in page.content.decode()
    answer = browser.get(link.url)
    assert answer.content == PAGE
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="a \\"b\\".html"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_step_may_call_its_file_whatever_it_likes(browser: Client, tenant: Tenant) -> None:
    names = {
        "a\r\nSet-Cookie: x": 'attachment; filename="aSet-Cookie: x"',
        "\udc00é.txt": "attachment; filename*=utf-8''%C3%A9.txt",
        "../../x": 'attachment; filename="x"',
        "\0": 'attachment; filename="file"',
        "x" * 1_000: f'attachment; filename="{"x" * 255}"',
    }
    run = a_run(tenant, [{**FILE, "name": name, "size": -(10**30)} for name in names])
    page = browser.get(reverse("run", args=["acme", run.pk]), {"step": "get"})
    links = page.context["page"].inspector.values[1].files
    assert [browser.get(link.url).headers["Content-Disposition"] for link in links] == list(names.values())


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("a.txt\n", 'filename="a.txt"'),
        ("../b\r\nSet-Cookie: c", 'filename="bSet-Cookie: c"'),
        ("", 'filename="file"'),
        ("x" * 90_000, f'filename="{"x" * 255}"'),
    ],
)
def test_a_value_that_only_looks_like_a_file_writes_no_header(
    browser: Client, tenant: Tenant, name: str, told: str
) -> None:
    run = a_run(tenant, {**FILE, "name": name})
    answer = browser.get(reverse("run-file", args=["acme", run.pk]), {"step": "get", "value": "output"})
    assert (answer.status_code, answer.content) == (200, PAGE)
    assert answer.headers["Content-Disposition"] == f"attachment; {told}"


def test_what_is_no_file_comes_as_json_and_what_is_not_there_is_not_found(browser: Client, tenant: Tenant) -> None:
    run = a_run(tenant, {"n": [1, "é"], "file": {**FILE, "base64": "no base64"}})
    url = reverse("run-file", args=["acme", run.pk])
    answer = browser.get(url, {"step": "get", "value": "output", "at": "n"})
    assert (answer.content, answer.headers["Content-Disposition"]) == (
        '[1,"é"]'.encode(),
        'attachment; filename="get-1.json"',
    )
    assert browser.get(url, {"step": "get", "value": "output", "at": "file"}).content.startswith(b'{"name"')
    assert browser.get(url, {"step": "get", "value": "input"}).content == b'{"of":"x"}'
    for query in (
        {},
        {"step": "get", "value": "trigger"},
        {"step": "get", "value": "output", "at": "zzz"},
        {"step": "get", "value": "output", "attempt": "7"},
        {"step": "\0", "value": "output"},
        {"step": "get", "value": "output", "at": "\0["},
    ):
        assert browser.get(url, query).status_code == 404, query


def test_a_file_in_a_value_too_large_for_the_page_is_offered_by_what_its_action_gives(
    browser: Client, tenant: Tenant
) -> None:
    run = a_run(tenant, None)
    large = FileValue.of(bytes(range(256)) * 12_000, name="large.bin").model_dump()
    kept = split({"file": large}, tenant_id=tenant.pk, run_id=run.pk)
    assert kept.payload is not None
    Payload.objects.for_tenant(tenant).bulk_create([kept.payload])
    StepRun.objects.for_tenant(tenant).filter(run=run).update(
        output=None, output_ref=kept.ref, action="google_drive.downloadFile"
    )
    page = browser.get(reverse("run", args=["acme", run.pk]), {"step": "get"})
    (link,) = page.context["page"].inspector.values[1].files
    assert (link.name, link.size) == ("get.file", None)
    assert browser.get(link.url).content == base64.b64decode(large["base64"])


def test_another_tenants_files_are_not_found(browser: Client, tenant: Tenant, other_tenant: Tenant) -> None:
    run = a_run(other_tenant, FILE)
    for slug in ("acme", "globex"):
        url = reverse("run-file", args=[slug, run.pk])
        assert browser.get(url, {"step": "get", "value": "output"}).status_code == 404


def test_how_far_a_step_is_is_shown_while_it_runs(browser: Client, tenant: Tenant) -> None:
    run = a_run(tenant, None, status="running", finished_at=None)
    rows = StepRun.objects.for_tenant(tenant).filter(run=run)
    for told, shown in (
        ({"done": 3, "total": 12, "text": "row <3>"}, "3 of 12 · row &lt;3&gt;"),
        ({"done": 10**15, "total": 1e-300, "text": "much"}, "1e-300 · much"),
        ({"done": 1500, "total": None, "text": ""}, "1,500"),
    ):
        rows.update(status="running", finished_at=None, progress=told)
        assert shown in browser.get(reverse("run", args=["acme", run.pk]), {"step": "get"}).content.decode()
    rows.update(status="succeeded")
    assert "1,500" not in browser.get(reverse("run", args=["acme", run.pk]), {"step": "get"}).content.decode()
