"""What ``up``, ``web`` and ``worker`` share: they check what a person can put right, then become the supervisor."""

from __future__ import annotations

import importlib.util
import ipaddress
import socket
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, Final

from django.conf import settings
from django.core.management.base import CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from orchestrator import env
from orchestrator.management.terminal import TerminalCommand
from orchestrator.supervise import GroupPlan, WatchPlan

HOST: Final = "127.0.0.1"
PORT: Final = 8000
# How long requests under way may take when the web is to end.
WEB_GRACE_SECONDS: Final = 8.0
# A leader beats four times a second; a database that hangs may hold it up for a while.
SILENT_SECONDS: Final = 60.0


class ServingCommand(TerminalCommand):
    """A command that serves until it is stopped."""


def port_number(text: str) -> int:
    """Parse a port for argparse."""
    number = int(text)
    if not 0 < number < 65_536:
        raise ValueError
    return number


def web_group(host: str, port: int, environment: Mapping[str, str]) -> GroupPlan:
    """Return the web's processes, once the address is known to be free. Raises CommandError."""
    _check_address(host, port)
    return GroupPlan(
        name="web",
        arguments=["-m", "orchestrator.server", host, str(port), str(settings.WEB_THREADS)],
        environment={env.PROCESS_VARIABLE: "web", **environment},
        grace_seconds=WEB_GRACE_SECONDS,
    )


def worker_group(environment: Mapping[str, str], *, workers: int | None) -> GroupPlan:
    """Return a worker's processes."""
    count = {"WORKERS": str(workers)} if workers else {}
    return GroupPlan(
        name="worker",
        arguments=["-m", "runs.cluster"],
        environment={env.PROCESS_VARIABLE: "worker", **count, **environment},
        silent_seconds=SILENT_SECONDS,
    )


def watch_plan() -> WatchPlan | None:
    """Return what is looked at in development, so that changed integrations are taken; None in production."""
    if not settings.DEBUG:
        return None
    # Here alone: a start in production does not wait for it.
    from integrations.registry import ENTRY_POINTS

    specs = [importlib.util.find_spec(entry.module.partition(".")[0]) for entry in entry_points(group=ENTRY_POINTS)]
    outside = {
        place
        for spec in specs
        if spec is not None
        for place in (spec.submodule_search_locations or filter(None, [spec.origin]))
    }
    return WatchPlan(
        places=[str(env.ROOT / "integrations"), *sorted(outside)],
        check=["-c", "import sys\nfrom integrations.registry import RegistryError, registry\n"
               "try:\n    registry.load()\nexcept RegistryError as error:\n    sys.exit(str(error))"],
    )  # fmt: skip


def check_migrated() -> None:
    """Raise CommandError when the database is not that of this version."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise CommandError("The database is not set up for this version: run `python manage.py setup` once.")


def shown(host: str, port: int) -> str:
    """Return the address that this machine reaches the web by."""
    wildcard = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (asked for by the person who starts it)
    name = wildcard.get(host, host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def _check_address(host: str, port: int) -> None:
    if settings.ENV.keys_are_self_made and not _is_loopback(host):
        raise CommandError(
            f"The keys were made by this machine, so the web listens on loopback only, not on {host}: set SECRET_KEY "
            f"and VAULT_KEYS in the environment (those in {settings.ENV.data_dir / env.KEYS_FILE} will do)."
        )
    try:
        found: list[Any] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise CommandError(f"--host {host!r} is no address of this machine: use an address like 127.0.0.1.") from error
    family, kind, protocol, _, address = found[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except PermissionError as error:
            raise CommandError(f"Port {port} is reserved for the system: choose one above 1023 with --port.") from error
        except OSError as error:
            raise CommandError(
                f"Port {port} of {host} cannot be used ({error.strerror}): stop what uses it, or choose another "
                "with --port."
            ) from error


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
