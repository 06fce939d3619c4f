"""``up`` as a person sees it: what the first start prints, how soon the second answers, and that it ends cleanly."""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import subprocess
from collections.abc import Iterator

import httpx
import pytest

from tests.product import PASSWORD, Product, product, wait_for

pytestmark = pytest.mark.crash

# Of CPU: how long it takes on the clock is the machine's own affair.
SECOND_START_SECONDS = 6.0


def started(installation: Product, *arguments: str) -> tuple[subprocess.Popen[bytes], str]:
    """Run ``up`` until it says that it is ready; return it and what it has printed since."""
    before = len(installation.log) if (installation.folder / "product.log").exists() else 0
    top = installation.start("up", "--port", str(installation.port), *arguments, ready=False)
    ready = f"\nready {installation.address}\n"
    wait_for(lambda: ready in installation.log[before:], seconds=60, what=lambda: installation.log, every=0.02)
    return top, installation.log[before:]


@pytest.fixture(scope="module")
def installation() -> Iterator[Product]:
    """An installation whose password is made by itself, not started yet."""
    with product(first_start=True, ORCHESTRATOR_ADMIN_PASSWORD="") as found:
        yield found


@pytest.fixture(scope="module")
def first(installation: Product) -> str:
    """What the first start prints; it runs on."""
    return started(installation)[1]


def test_the_first_start_prints_the_password_once_and_that_it_is_ready(first: str, installation: Product) -> None:
    lines = first.splitlines()
    assert lines.count(f"ready {installation.address}") == 1
    shown = re.findall(r"^Sign in as admin with the password (\S+) \(shown once\)\.$", first, re.MULTILINE)
    assert len(shown) == 1
    assert first.count(shown[0]) == 1
    assert f"Keys were made by this machine and lie in {installation.folder}/keys.env: keep a copy." in lines
    assert "Traceback" not in first
    assert "Warning" not in first

    with httpx.Client(base_url=installation.address) as person:
        person.get("/sign-in/")
        answer = person.post(
            "/sign-in/",
            data={"username": "admin", "password": shown[0], "csrfmiddlewaretoken": person.cookies["csrftoken"]},
        )
        assert answer.status_code == 302
        assert "sessionid" in person.cookies


def test_the_sign_in_page_and_its_static_files_are_served(first: str, installation: Product) -> None:
    with httpx.Client(base_url=installation.address) as person:
        page = person.get("/sign-in/")
        assert page.status_code == 200
        files = re.findall(r"""(?:href|src)="(/static/[^"]+)""", page.text)
        assert {file.partition("?")[0].rpartition(".")[2] for file in files} >= {"css"}
        for path in ("/sign-in/", "/healthz", "/readyz", *files):
            answer = person.get(path)
            assert answer.status_code == 200, path
            assert answer.headers["X-Content-Type-Options"] == "nosniff", path
            assert "Traceback" not in answer.text
        policy = page.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


def test_a_second_up_on_the_same_port_is_refused_and_leaves_the_first_alone(first: str, installation: Product) -> None:
    second = installation.start("up", "--port", str(installation.port), ready=False)
    assert second.wait(timeout=30) == 1
    assert "cannot be used (Address already in use)" in installation.log
    assert httpx.get(f"{installation.address}/healthz").status_code == 200


def test_ctrl_c_leaves_no_process_and_frees_the_port(first: str, installation: Product) -> None:
    top = installation.tops[0]
    assert installation.processes()
    assert installation.stop(top) == 0
    assert installation.processes() == []
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", installation.port))


def test_the_second_start_is_quick_and_shows_no_password(first: str, installation: Product) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    top, printed = started(installation)
    assert "password" not in printed
    assert "Made the example" not in printed
    assert installation.stop(top) == 0
    assert installation.processes() == []
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < SECOND_START_SECONDS


def test_sigterm_to_the_whole_group_as_a_terminal_or_service_manager_sends_it() -> None:
    with product() as found:
        top, _ = started(found, "--no-demo", "--workers", "1")
        # Leaders are in groups of their own, so every process is told at once only where somebody does that.
        for process in found.processes():
            os.kill(process.pid, signal.SIGTERM)
        assert top.wait(timeout=40) == 0
        wait_for(lambda: not found.processes(), seconds=10, what=lambda: str(found.processes()))


def test_no_demo_makes_tenant_and_user_without_examples() -> None:
    with product(first_start=True) as found:
        top, printed = started(found, "--no-demo")
        assert "Made the example" not in printed
        assert PASSWORD not in printed
        found.token = found.make_token()
        assert found.api("GET", "workflows/")["results"] == []
        assert found.stop(top) == 0
