"""``worker``: the half that drives runs, by itself."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.db import connections

from orchestrator import env
from orchestrator.management import serving
from orchestrator.management.terminal import positive
from orchestrator.supervise import Plan, become


class Command(serving.ServingCommand):
    help = "Run the worker half: it drives runs. Run as many as you like, on as many hosts."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--workers", type=positive, help="processes; default WORKERS, else 2")

    def work(self, options: dict[str, Any]) -> None:
        serving.check_migrated()
        connections.close_all()
        become(Plan(groups=[serving.worker_group({}, workers=options["workers"])]), folder=str(env.ROOT))
