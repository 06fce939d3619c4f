"""``up``: the whole product on one machine."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.db import connections

from orchestrator import env
from orchestrator.bootstrap import first_start
from orchestrator.management import serving
from orchestrator.management.commands.setup import describe
from orchestrator.management.terminal import positive
from orchestrator.supervise import Plan, become


class Command(serving.ServingCommand):
    help = "Set up and run everything on this machine: web and worker. Ctrl-C ends it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=serving.HOST)
        parser.add_argument("--port", type=serving.port_number, default=serving.PORT)
        parser.add_argument("--workers", type=positive, help="worker processes; default WORKERS, else 2")
        parser.add_argument("--no-demo", action="store_true", help="make no example workflows")

    def work(self, options: dict[str, Any]) -> None:
        address = serving.shown(options["host"], options["port"])
        environment = {} if settings.BASE_URL else {"BASE_URL": address}
        web = serving.web_group(options["host"], options["port"], environment)
        worker = serving.worker_group(environment, workers=options["workers"])
        done = first_start(demo=not options["no_demo"], base_url=settings.BASE_URL or address)
        for line in describe(done):
            self.stdout.write(line)
        connections.close_all()
        plan = Plan(groups=[web, worker], ready=address, note=_how_to_sign_in(done.user), watch=serving.watch_plan())
        become(plan, folder=str(env.ROOT))


def _how_to_sign_in(user: str) -> str:
    return f"Sign in as {user} at the address below; Ctrl-C ends everything."
