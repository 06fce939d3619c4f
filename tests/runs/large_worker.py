"""A worker of its own that drives runs with large outputs: started by ``test_large_values`` to measure its memory.

It reads ``{"address", "reads": [template…], "output": template?, "runs": n?, "database": path?}`` from its standard
input: a run gets the address and reads the templates, in a step each. ``database`` is an SQLite file that has the
tables already. It writes the peak of its memory in MB and what became of the runs.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
from urllib.parse import urlsplit

import django
from django.core.management import call_command


def main() -> None:
    order = json.loads(sys.stdin.read())
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    from django.conf import settings

    if order.get("database"):
        shutil.copy(order["database"], settings.DATABASES["default"]["NAME"])
    call_command("migrate", verbosity=0)

    from orchestrator.tenants.models import Tenant
    from runs.driver import Times
    from runs.models import Run
    from tests.runs.ground import drive, make_workflow, rows, start, step

    settings.ENV = dataclasses.replace(settings.ENV, egress_allow=(urlsplit(order["address"]).netloc,))
    tenant = Tenant.objects.create(slug=f"worker-{os.getpid()}", name="Acme")
    get = step("get", "http.request", inputs={"url": order["address"]})
    reading = [step(f"read{n}", inputs={"values": {"x": text}}) for n, text in enumerate(order["reads"])]
    more = {} if order.get("output") is None else {"output": order["output"]}
    workflow = make_workflow(tenant, get, *reading, **more)
    runs = [start(workflow) for _ in range(order.get("runs", 1))]
    base = memory()
    drive(Times(slice=100, idle=0.3, hand_over=2, stop=0.5))
    told = {"base": base, "peak": memory(), "statuses": [], "errors": [], "values": []}
    for run in runs:
        run = Run.unscoped.get(pk=run.pk)
        told["statuses"].append(run.status)
        told["errors"].append(run.error)
        told["values"] += [row.output["x"] for row in rows(run) if row.key.startswith("read") and row.output]
    sys.stdout.write(json.dumps(told))


def memory() -> int:
    """Return the most memory that this process ever had, in MB."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
