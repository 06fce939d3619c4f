"""Follows guides in a checkout of its own: ``python -m tests.guides.walk PLAN``, with the checkout as the folder.

Each step is carried out as it is read. What starts with ``python manage.py`` runs in this process, with a registry that
is read anew, as a product that is started again does; everything else is a process of its own. Last, every action that
was written runs in a published workflow. What was seen is printed as JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import shlex
import site
import subprocess
import sys
import sysconfig
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

KEY: Final = "k-canary-f00d-4711"
PROVIDERS: Final = ("weather", "parcels", "acme_parcels")
# What is said beside a guide: nothing is fetched here.
_OFFLINE: Final = ["--no-index", "--no-build-isolation", "--no-deps", "--quiet"]


class Services(BaseHTTPRequestHandler):
    """The services that the guides' integrations are for; they answer to the key alone, and one echoes it."""

    seen: Final[list[str]] = []

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        self.seen.append(asked.path)
        keys = (self.headers.get("X-Api-Key"), self.headers.get("Authorization", "").removeprefix("Bearer "))
        query = {name: values[0] for name, values in parse_qs(asked.query).items()}
        answers: dict[str, Any] = {
            "forecast": {"temperature": 17.5, "summary": f"Rain in {query.get('city')}"},
            "items": {"id": query.get("id"), "name": "A box", "seen_by": f"key {KEY}", "session": {"token": KEY}},
        }
        found = answers.get(asked.path.rpartition("/")[2], {"name": "Ada"})
        body = json.dumps(found if KEY in keys else {"error": "who are you?"}).encode()
        self.send_response(200 if KEY in keys else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


class Walk:
    """One reader, and what they have seen so far."""

    def __init__(self) -> None:
        self.said: dict[str, str] = {}
        self.menus: dict[str, bool] = {}
        self.outputs: dict[str, Any] = {}

    def follow(self, steps: list[list[str]]) -> None:
        for kind, name, content in steps:
            if kind == "file":
                Path(name).write_text(content, encoding="utf-8")
            elif kind == "credential":
                self.make_credential(name)
            else:
                self.said[name] = self.command(shlex.split(name))

    def command(self, words: list[str]) -> str:
        if words[:2] == ["python", "manage.py"]:
            return self.manage(words[2:])
        if words[:2] == ["pip", "install"]:
            words = ["python", "-m", "pip", "install", *_OFFLINE, *words[2:]]
        program = [sys.executable] if words[0] == "python" else [sys.executable, "-m", words[0]]
        environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
        done = subprocess.run(
            [*program, *words[1:]], env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        site.addsitedir(sysconfig.get_path("purelib"))
        return done.stdout

    def manage(self, words: list[str]) -> str:
        from django.core.management import call_command

        start_again()
        out = StringIO()
        call_command(*words, stdout=out, stderr=out)
        return out.getvalue()

    def make_credential(self, address: str) -> None:
        """Fill in the form that a guide links to, with the key; its name is the one that is proposed."""
        start_again()
        page = browser().get(address)
        assert page.status_code == 200, address
        provider = address.rpartition("=")[2]
        form = {"provider": provider, "auth_type": "api_key", "name": provider, "secret-api_key": KEY}
        answer = browser().post(urlsplit(address).path, form)
        assert answer.status_code == 302, answer.content.decode()

    def use(self, key: str, inputs: dict[str, Any]) -> None:
        """Press the button on an action's page, fill in the step, publish the workflow and run it."""
        from tests.runs.ground import drive

        provider, _, name = key.partition(".")
        person = browser()
        self.menus[key] = key in person.get("/w/demo/integrations/", {"q": provider}).content.decode()
        assert person.get(f"/w/demo/integrations/{provider}/{name}/").status_code == 200
        opened = person.post("/w/demo/workflows/new/", {"action": key, "trigger": "manual"})
        place = f"/api/v1/workflows/{opened['Location'].split('/')[4]}/"
        workflow = asked(person, "get", place)
        step = workflow["steps"][0] | {"credential": provider, "config": {"inputs": inputs}}
        asked(person, "patch", place, {"steps": [step], "output": f"{{{{ steps.{step['key']}.output }}}}"})
        asked(person, "post", f"{place}publish/", {})
        run = asked(person, "post", f"{place}runs/", {"payload": None})
        drive()
        ended = asked(person, "get", f"/api/v1/runs/{run['id']}/")
        assert ended["status"] == "succeeded", ended
        self.outputs[key] = ended["output"]


def start_again() -> None:
    """Forget what is registered, as every new process of the product does."""
    from integrations.registry import registry

    importlib.invalidate_caches()
    registry._table = None


def browser() -> Any:
    from django.contrib.auth.models import User
    from django.test import Client

    client = Client(SERVER_NAME="127.0.0.1", headers={"x-tenant": "demo"})
    client.force_login(User.objects.get(username="admin"))
    return client


def asked(person: Any, method: str, address: str, body: Any = None) -> Any:
    """Call the API as the person does. Raises AssertionError with the answer unless it is a success."""
    given = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
    answer = getattr(person, method)(address, **given)
    assert 200 <= answer.status_code < 300, f"{method} {address}: {answer.status_code} {answer.content.decode()}"
    return json.loads(answer.content)


def main(plan: dict[str, Any]) -> dict[str, Any]:
    services = ThreadingHTTPServer(("127.0.0.1", 0), Services)
    threading.Thread(target=services.serve_forever, daemon=True).start()
    root = f"http://127.0.0.1:{services.server_port}"
    os.environ["INTEGRATIONS_BASE_URLS"] = json.dumps({key: f"{root}/{key}" for key in PROVIDERS})
    os.environ["DJANGO_SETTINGS_MODULE"] = "orchestrator.settings"
    import django

    django.setup()
    walk = Walk()
    walk.manage(["setup", "--no-demo"])
    for steps in plan["guides"]:
        walk.follow(steps)
    walk.make_credential("/w/demo/credentials/new/?provider=acme_parcels")
    walk.use("weather.forecast", {"city": "Rotterdam", "days": 2})
    walk.use("parcels.getItem", {"item_id": "42"})
    walk.use("acme_parcels.getItem", {"item_id": "43"})
    services.shutdown()
    return {"said": walk.said, "menus": walk.menus, "outputs": walk.outputs, "asked": Services.seen}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
