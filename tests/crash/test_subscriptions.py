"""A provider that is told of a trigger, in a running product: once, also when the worker dies over its answer."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from tests.crash.test_polls import kill_workers
from tests.product import product, step, wait_for, workflow

pytestmark = pytest.mark.crash
HOOKS = "/repos/octocat/hello-world/hooks"


class Hub:
    """GitHub, as far as webhooks of one repository go. The first answer is kept back until ``gate`` is set."""

    def __init__(self) -> None:
        self.address = ""
        self.hooks: dict[int, dict[str, Any]] = {}
        self.calls: list[tuple[str, str]] = []
        self.gate = threading.Event()

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        self.calls.append((method, path))
        number = path.rpartition("/")[2]
        if not path.startswith(HOOKS):
            return 200, {"login": "octocat"}
        if method == "POST":
            if any(hook["config"]["url"] == body["config"]["url"] for hook in self.hooks.values()):
                return 422, {"message": "Validation Failed", "errors": [{"message": "Hook already exists"}]}
            made = len(self.calls)
            self.hooks[made] = {"id": made, **body}
            if not self.gate.is_set():
                self.gate.wait(60)
            return 201, self.hooks[made]
        if method == "GET" and path == HOOKS:
            return 200, list(self.hooks.values())
        if not number.isdigit() or int(number) not in self.hooks:
            return 404, {"message": "Not Found"}
        if method == "DELETE":
            del self.hooks[int(number)]
            return 204, None
        self.hooks[int(number)] |= body or {}
        return 200, self.hooks[int(number)]

    def deliver(self, number: str) -> httpx.Response:
        """Send an event as GitHub does, by the one hook that there is."""
        ((_, hook),) = self.hooks.items()
        body = json.dumps({"action": "opened", "issue": {"number": 1}}).encode()
        mac = hmac.new(hook["config"]["secret"].encode(), body, hashlib.sha256).hexdigest()
        headers = {
            "X-GitHub-Event": "issues", "X-GitHub-Delivery": number, "X-Hub-Signature-256": f"sha256={mac}",
            "Content-Type": "application/json",
        }  # fmt: skip
        return httpx.post(hook["config"]["url"], content=body, headers=headers, timeout=20)


@contextmanager
def hub() -> Iterator[Hub]:
    found = Hub()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, said = found.answer(self.command, self.path.partition("?")[0], json.loads(text or b"null"))
            body = b"" if said is None else json.dumps(said).encode()
            with suppress(OSError):
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield found
    finally:
        found.gate.set()
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_provider_is_told_once_through_a_kill_and_untold_in_the_end() -> None:
    with hub() as github, product(INTEGRATIONS_BASE_URLS=json.dumps({"github": github.address})) as installation:
        installation.up()
        secret = {"token": "ghp_canary_8151"}
        made = {"name": "our-github", "provider": "github", "auth_type": "bearer_token", "secret": secret}
        installation.api("POST", "credentials/", json=made)
        inputs = {"repository": "octocat/hello-world", "events": ["issues"]}
        config = {"trigger": "github.newEvent", "inputs": inputs, "credential": "our-github"}
        triggers = [{"key": "hub", "type": "event", "config": config}]
        number = installation.publish(
            workflow("Issues", [step("keep", "data.set", {"values": {"a": 1}})], triggers=triggers)
        )
        wait_for(lambda: github.hooks, seconds=60, what="GitHub to be told")
        kill_workers(installation)
        github.gate.set()
        # The lease of who died is over, GitHub says that it knows the address, and the hook is taken over.
        wait_for(
            lambda: any(method == "PATCH" for method, _path in github.calls),
            seconds=120,
            what=lambda: f"GitHub to be told again: {github.calls}",
            every=0.5,
        )
        assert len(github.hooks) == 1
        wait_for(lambda: github.deliver("d1").status_code in (200, 202), seconds=30, what="a delivery to be taken")
        repeated = github.deliver("d1")
        assert repeated.status_code == 200
        wait_for(
            lambda: installation.api("GET", f"runs/{repeated.json()['id']}/")["status"] == "succeeded",
            seconds=60,
            what="the run of the delivery",
        )
        assert len(installation.api("GET", f"runs/?workflow={number}")["results"]) == 1
        installation.api("DELETE", f"workflows/{number}/")
        wait_for(lambda: not github.hooks, seconds=60, what="the hook to be taken away")
        assert "ghp_canary_8151" not in installation.log
