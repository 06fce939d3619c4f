"""The web's process as it is served: webhooks by both ways, and what it holds before anybody opens a page."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, Final

import httpx
import pytest

from tests.product import ROOT, Product, product, step, workflow

# What takes webhooks needs none of these, and each is megabytes.
HEAVY: Final = (
    "rest_framework", "drf_spectacular.generators", "yaml", "psycopg", "pydantic", "cryptography",
    "aiohttp", "httpx", "orchestrator.admin", "orchestrator.api.urls", "orchestrator.builder.home",
    "orchestrator.workflows.services", "integrations.registry",
)  # fmt: skip
# What describes the API, which is loaded by who asks for it.
DESCRIBING: Final = ("drf_spectacular.plumbing", "django.test", "orchestrator.api.schema")
_SAYS: Final = """
import io, json, sys
from orchestrator.wsgi import application

def call(method, path):
    told = []
    environ = {
        "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": "", "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80", "HTTP_HOST": "127.0.0.1", "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(b""),
    }
    answer = application(environ, lambda status, headers, *_: told.append(status))
    b"".join(answer)
    answer.close()
    return told[0]

statuses = [call("GET", "/healthz"), call("POST", "/h/unknown")]
loaded = sorted(sys.modules)
statuses += [call("GET", "/sign-in/"), call("GET", "/api/v1/runs/")]
print(json.dumps({"statuses": statuses, "loaded": loaded, "at_last": sorted(sys.modules)}))
"""


@pytest.fixture(scope="module")
def served() -> Iterator[Product]:
    """The web alone, with an environment in which every request would seem to have a header ``proxy``."""
    with product(HTTP_PROXY="http://user:a-password@127.0.0.1:1") as found:
        found.start("web", "--port", str(found.port))
        yield found


@pytest.fixture(scope="module")
def address(served: Product) -> str:
    made = served.publish(workflow("Accept", [step("only", "data.set", {"values": {"a": 1}})]))
    triggers = served.api("GET", f"triggers/?workflow={made}")["results"]
    url = next(str(trigger["url"]) for trigger in triggers if trigger["type"] == "webhook")
    return f"{served.address}/h/{url.rpartition('/')[2]}"


def kept(served: Product, run_id: str) -> dict[str, Any]:
    """Return what is stored of a request."""
    with closing(sqlite3.connect(served.folder / "orchestrator.sqlite3", timeout=20)) as database:
        (text,) = database.execute("SELECT trigger FROM runs_run WHERE id = ?", [int(run_id)]).fetchone()
    return dict(json.loads(text))


@pytest.mark.crash
def test_the_first_and_every_later_request_are_answered_and_kept_alike(served: Product, address: str) -> None:
    with httpx.Client(trust_env=False, headers={"X-Event": "made"}) as sender:
        answers = [sender.post(f"{address}?a=1", json={"n": 1}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202] * 3
    ours = [{name: value for name, value in answer.headers.items() if name != "date"} for answer in answers]
    assert len({headers.pop("x-request-id") for headers in ours}) == 3
    assert ours[0] == ours[1] == ours[2]
    documents = [kept(served, answer.json()["id"]) for answer in answers]
    assert len({document.pop("received_at") for document in documents}) == 3
    assert documents[0] == documents[1] == documents[2]
    assert (documents[0]["query"], documents[0]["body"]) == ({"a": "1"}, {"n": 1})
    assert documents[0]["headers"]["x-event"] == "made"


@pytest.mark.crash
def test_what_the_environment_holds_is_not_taken_for_a_header(served: Product, address: str) -> None:
    for _ in range(2):
        document = kept(served, httpx.post(address, json={}, trust_env=False).json()["id"])
        assert "proxy" not in document["headers"]
        assert "a-password" not in json.dumps(document)


@pytest.mark.crash
def test_a_body_in_chunks_is_kept_whole_on_both_ways(served: Product, address: str) -> None:
    for _ in range(2):
        answer = httpx.post(
            address, content=iter([b'{"a": ', b"1}"]), headers={"Content-Type": "application/json"}, trust_env=False
        )
        assert answer.status_code == 202
        assert kept(served, answer.json()["id"])["body"] == {"a": 1}


@pytest.mark.crash
def test_parts_that_many_ask_for_at_once_for_the_first_time_are_there_for_all(served: Product) -> None:
    paths = ["/sign-in/", "/admin/", "/api/schema/", "/api/docs/", "/api/v1/runs/", "/w/demo/", "/nothing/"] * 3

    def status(path: str) -> tuple[str, int]:
        return path, httpx.get(served.address + path, timeout=60, trust_env=False).status_code

    with ThreadPoolExecutor(len(paths)) as pool:
        found = list(pool.map(status, paths))
    assert dict(found) == {
        "/sign-in/": 200, "/admin/": 302, "/api/schema/": 200, "/api/docs/": 200, "/api/v1/runs/": 401,
        "/w/demo/": 302, "/nothing/": 404,
    }, served.log  # fmt: skip
    assert len(set(found)) == 7, served.log


def test_the_web_is_one_process(served: Product) -> None:
    web = [each for each in served.processes() if each.parent == served.tops[-1].pid]
    assert [each.arguments.split()[2] for each in web] == ["orchestrator.server"]
    assert not [each for each in served.processes() if each.parent == web[0].pid]


@pytest.fixture(scope="module")
def told(served: Product) -> dict[str, Any]:
    """Return what a process of the web's said that was asked once for each of its parts."""
    done = subprocess.run(
        [sys.executable, "-c", _SAYS], cwd=ROOT, env={**served.environment, "ORCHESTRATOR_PROCESS": "web"},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    assert [status[:3] for status in found["statuses"]] == ["200", "404", "200", "401"]
    return found


def test_a_process_that_only_takes_webhooks_holds_no_pages_api_or_admin(told: dict[str, Any]) -> None:
    assert "runs.triggers.hooks" in told["loaded"]
    assert sorted(set(HEAVY) & set(told["loaded"])) == []


def test_a_process_that_serves_pages_and_api_does_not_hold_what_describes_it(told: dict[str, Any]) -> None:
    assert {"orchestrator.api.urls", "orchestrator.page_urls", "httpx"} <= set(told["at_last"])
    assert sorted(set(DESCRIBING) & set(told["at_last"])) == []


def test_a_process_that_serves_pages_does_not_hold_the_client_that_asks_providers(told: dict[str, Any]) -> None:
    assert "orchestrator.builder.choices" in told["at_last"]
    assert "aiohttp" not in told["at_last"]
