"""``web``: the web half by itself."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.db import connections

from orchestrator import env
from orchestrator.management import serving
from orchestrator.supervise import Plan, become


class Command(serving.ServingCommand):
    help = "Run the web half: pages, API and webhooks. Run as many as you like, on as many hosts."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=serving.HOST)
        parser.add_argument("--port", type=serving.port_number, default=serving.PORT)

    def work(self, options: dict[str, Any]) -> None:
        web = serving.web_group(options["host"], options["port"], {})
        serving.check_migrated()
        connections.close_all()
        become(Plan(groups=[web], ready=serving.shown(options["host"], options["port"])), folder=str(env.ROOT))
