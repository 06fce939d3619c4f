"""``python -m tests.bench.pages``: how long pages take on the server, with 600 actions registered.

A process of its own with a fresh SQLite database, asked through Django's test client: no network, no browser. Each page
a hundred times, after five that warm up.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django

django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.db import connections  # noqa: E402
from django.db.models import F  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import setup_databases, setup_test_environment, teardown_databases  # noqa: E402
from django.urls import reverse  # noqa: E402
from pydantic import BaseModel, Field, create_model  # noqa: E402

from integrations.registry import registry  # noqa: E402
from integrations.sdk import Action, Provider, RunContext, action  # noqa: E402
from orchestrator.tenants.access import Actor, actor_for_user  # noqa: E402
from orchestrator.tenants.models import Membership, Role, Tenant  # noqa: E402
from orchestrator.workflows import services  # noqa: E402
from orchestrator.workflows.models import Workflow  # noqa: E402
from runs.models import Run  # noqa: E402
from runs.services import run_start_by_actor  # noqa: E402
from tests.runs.ground import drive, step  # noqa: E402
from tests.runs.loops_ground import loop_run  # noqa: E402
from tests.runs.test_run_page import a_thousand_steps  # noqa: E402

ACTIONS: Final = 600
STEPS: Final = 20
TIMES: Final = 100
_VERBS: Final = ("Send", "Create", "Update", "Delete", "Find", "List", "Upload", "Archive", "Assign", "Close")
_THINGS: Final = ("message", "contact", "invoice", "ticket", "file", "row")


def actions() -> Iterator[Action]:
    """Yield as many actions as fill the registry up, ten of six kinds for each provider."""
    have = len(list(registry.actions()))
    for number in range(ACTIONS - have):
        index, kind = divmod(number, len(_VERBS) * len(_THINGS))
        if kind == 0:
            provider = Provider(key=f"made{index}", name=f"Made {index}", description="Made for the measurement.")
        verb, thing = _VERBS[kind % len(_VERBS)], _THINGS[kind // len(_VERBS)]
        yield _action(provider, f"{verb} {thing}", f"made{index}.{verb.lower()}{thing.capitalize()}")


def _action(provider: Provider, name: str, key: str) -> Action:
    fields: dict[str, Any] = {
        f"field{n}": (str | None, Field(None, title=f"Field {n}", description="What it takes.")) for n in range(8)
    }
    schema: type[BaseModel] = create_model("Inputs", **fields)

    async def run(ctx: RunContext[BaseModel]) -> dict[str, Any]:
        return {}

    run.__doc__ = f"{name} in {provider.name}."
    made = action(provider=provider, key=key, name=name, auth_type="none", input_schema=schema)(run)
    assert isinstance(made, Action)
    return made


def measure(what: str, target: str, ask: Callable[[], Any]) -> None:
    for _ in range(5):
        assert ask().status_code == 200
    took = []
    for _ in range(TIMES):
        began = time.perf_counter()
        ask()
        took.append((time.perf_counter() - began) * 1_000)
    p95 = statistics.quantiles(took, n=20)[-1]
    print(f"{what:<56}p50 {statistics.median(took):6.1f} ms, p95 {p95:6.1f} ms   target p95 ≤ {target}", flush=True)


@contextmanager
def ground() -> Iterator[tuple[Client, Actor]]:
    """Yield a signed-in editor's client of an empty tenant."""
    setup_test_environment(debug=False)
    old = setup_databases(verbosity=0, interactive=False)
    try:
        tenant = Tenant.objects.create(slug="bench", name="Bench")
        user = User.objects.create_user("editor", password="a good password")
        Membership.unscoped.create(tenant=tenant, user=user, role=Role.EDITOR)
        client = Client()
        client.force_login(user)
        yield client, actor_for_user(user, "bench")
    finally:
        connections.close_all()
        teardown_databases(old, verbosity=0)


def main() -> None:
    with registry.temporarily(*actions()), ground() as (client, actor):
        steps = [step(f"s{n}", inputs={"values": {"n": f"{{{{ trigger.body.n }}}} {n}"}}) for n in range(STEPS)]
        made: Workflow = services.workflow_create(actor=actor, document={"name": "Bench", "steps": steps})
        run = run_start_by_actor(actor=actor, workflow=made, payload={"n": 1}, version="draft")
        drive()

        def page(name: str, *parts: Any, **query: str) -> Callable[[], Any]:
            address = reverse(name, args=["bench", *parts])
            return lambda: client.get(address, query)

        print(f"{len(list(registry.actions()))} actions, a workflow of {STEPS} steps")
        measure("a step's panel, the whole page", "80 ms", page("workflow-step", made.pk, f"s{STEPS - 1}"))
        measure("the add-step menu", "60 ms", page("step-add", made.pk, after="s0"))
        measure(
            "a search in the add-step menu, without a script", "50 ms", page("step-add", made.pk, q="creat invoice")
        )
        measure("home", "80 ms", page("home"))
        measure("the runs list", "80 ms", page("run-list"))
        measure("a run", "80 ms", page("run", run.pk))
        measure("what changed in a run: nothing", "10 ms", lambda: _nothing_new(client, run.pk))
        tenant = actor.tenant
        measure("a run of 1,000 steps", "80 ms", page("run", a_thousand_steps(tenant).pk))
        measure("a run of a loop over 10,000 items", "80 ms", page("run", loop_run(tenant, 10_000, slug="many").pk))
        live = loop_run(tenant, 120, total=200, status="running", slug="live")
        measure("what changed in a live run: a few rows", "80 ms", _changes(client, page("run", live.pk)().context))


def _changes(client: Client, context: Any) -> Callable[[], Any]:
    """Return what asks like the page of a live run does: each time for what changed since the last."""
    shown = context["page"]

    def ask() -> Any:
        nonlocal shown
        Run.unscoped.filter(pk=shown.run.pk).update(revision=F("revision") + 1)
        headers = {"HX-Request": "true", "X-Seen": shown.shown}
        answer = client.get(f"{shown.poll_url}&waits={shown.waits.mark}", headers=headers)
        shown = answer.context["page"]
        return answer

    return ask


def _nothing_new(client: Client, pk: int) -> Any:
    revision = Run.unscoped.values_list("revision", flat=True).get(pk=pk)
    answer = client.get(reverse("run-changes", args=["bench", pk]), {"after": revision})
    assert answer.status_code == 204
    answer.status_code = 200
    return answer


if __name__ == "__main__":
    main()
