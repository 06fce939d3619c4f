"""``manage.py integration new | list | lint | try``: tools for those who write integrations."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import sys
import uuid
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from integrations.registry import RegistryError, all_declared_in, http_options, load_module, registry
from integrations.sdk import Action, DeclarationError, IntegrationError, LogLine, RunContext, StepLog
from integrations.sdk.auth import AuthView
from integrations.sdk.declaration import Declaration
from integrations.sdk.dialling import dialler
from integrations.sdk.http import HttpPool
from integrations.sdk.lint import Finding, lint, network_at_import
from integrations.sdk.scaffold import CannotScaffold, as_package, in_library
from orchestrator.egress import egress_policy
from orchestrator.flow.items import ItemEvaluator
from orchestrator.flow.values import ExpressionError
from orchestrator.tenants.models import Tenant
from orchestrator.vault.redaction import Redactor
from orchestrator.vault.renewal import fresh_credential
from orchestrator.vault.services import CredentialUnavailable

TRY_SECONDS: Final = 60.0


class Command(BaseCommand):
    help = "Write, list, check and try integrations."

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True, parser_class=ArgumentParser)
        new = commands.add_parser("new", help="write a new integration with a passing test")
        new.add_argument("name", help="the provider's key in snake_case")
        new.add_argument("--package", metavar="DIR", type=Path, help="a package of its own in DIR, not in the library")
        listing = commands.add_parser("list", help="list every registered action")
        listing.add_argument("--json", action="store_true", dest="as_json", help="as JSON, with the schemas")
        checking = commands.add_parser("lint", help="check integrations; exits non-zero on a finding")
        checking.add_argument("modules", nargs="*", help="a module or a provider's key; all if left out")
        trying = commands.add_parser("try", help="run one action now and print its output")
        trying.add_argument("key", help="like slack.sendMessage")
        trying.add_argument("--input", action="append", default=[], metavar="NAME=VALUE", dest="inputs")
        trying.add_argument("--credential", default="", metavar="NAME", help="a credential of the tenant")
        trying.add_argument("--tenant", default="", metavar="SLUG")

    def handle(self, *args: Any, command: str, **options: Any) -> None:
        handlers: dict[str, Callable[..., None]] = {
            "new": self.new,
            "list": self.list_actions,
            "lint": self.lint,
            "try": self.try_action,
        }
        with _explained():
            handlers[command](**options)

    def new(self, *, name: str, package: Path | None, **_: Any) -> None:
        """Write the files and name the next command."""
        if package is None:
            root = Path(settings.BASE_DIR)
            if not (root / "tests" / "providers").is_dir():
                raise CommandError("This is an installed product: give --package DIR for a package of your own.")
            plan = in_library(name, root)
        else:
            _refuse_taken(name, package)
            plan = as_package(name, package)
        plan.write()
        for path in plan.files:
            self.stdout.write(f"wrote {path}")
        (test,) = (path for path in plan.files if path.name.startswith("test_"))
        self.stdout.write(f"Its test passes: python -m pytest {test}")
        if package is not None:
            self.stdout.write(f"Install it beside the product to register it: pip install -e {package}")

    def list_actions(self, *, as_json: bool, **_: Any) -> None:
        declared = (*registry.actions(), *registry.triggers())
        if as_json:
            self.stdout.write(json.dumps([_described(each) for each in declared], indent=2))
            return
        widest = max((len(each.key) for each in declared), default=0)
        for each in declared:
            kinds = " or ".join(sorted(each.accepted_auth)) or "no credential"
            what = "" if isinstance(each, Action) else "trigger, "
            self.stdout.write(f"{each.key:<{widest}}  {each.description}  ({what}{kinds})")

    def lint(self, *, modules: Sequence[str], **_: Any) -> None:
        """Print every finding and exit with status 1 if there is one."""
        everything: list[Declaration] = [*registry.actions(), *registry.triggers()]
        chosen = [each for name in modules for each in _named(name)] if modules else everything
        findings: list[Finding] = lint(chosen)
        findings += network_at_import(sorted({each.origin.rpartition(":")[0] for each in chosen}))
        for finding in findings:
            self.stdout.write(str(finding))
        if findings:
            raise CommandError(f"{len(findings)} to correct in {_counted(chosen)}.")
        self.stdout.write(f"{_counted(chosen)}, nothing to correct.")

    def try_action(self, *, key: str, inputs: Sequence[str], credential: str, tenant: str, **_: Any) -> None:
        """Run one action as a step would and print its output as JSON; a secret input takes the value itself."""
        action = registry.get(key)
        if action is None:
            raise CommandError(f"There is no action {key!r}: `manage.py integration list` shows them.")
        given = _parsed(action, inputs)
        opened = _open(credential, tenant)
        # A secret input is given as it is: only a step holds a credential's name in its place.
        secrets = tuple(str(given[name]) for name in action.secret_inputs if given.get(name))
        opened = replace(opened, secrets=(*opened.secrets, *secrets))
        redactor = Redactor(opened.secrets)

        def show(line: LogLine) -> None:
            self.stderr.write(f"{line.level}: {redactor.text(line.text)}")

        try:
            output = asyncio.run(_run(action, given, opened, StepLog(show)))
        except ExpressionError as error:
            raise CommandError(redactor.text(f"input: {error.message} ({error.where})")) from None
        except IntegrationError as error:
            told = " ".join(part for part in (error.message, error.hint) if part)
            raise CommandError(redactor.text(f"{error.kind}: {told}")) from None
        self.stdout.write(json.dumps(redactor.clean(output), indent=2, ensure_ascii=False, default=str))


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """A credential for one call, or none."""

    auth: Mapping[str, Any] = field(default_factory=dict, repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    egress_allow: tuple[str, ...] = ()
    tenant_id: str = ""


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Turn what an author can get wrong into one sentence."""
    try:
        yield
    except (RegistryError, DeclarationError, CannotScaffold, CredentialUnavailable) as error:
        raise CommandError(str(error)) from None


def _refuse_taken(name: str, directory: Path) -> None:
    """A package that is importable already would be imported in place of the new one, or be hidden by it."""
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    if name in sys.stdlib_module_names or (spec and not str(spec.origin or "").startswith(str(directory.resolve()))):
        raise CommandError(f"There is a Python package named {name!r} already: choose another name, like my_{name}.")


def _named(name: str) -> list[Declaration]:
    """Return the actions and triggers of a provider by its key, or those that a module declares."""
    if registry.provider(name) is not None:
        return [each for each in (*registry.actions(), *registry.triggers()) if each.provider.key == name]
    declared = all_declared_in(load_module(name))
    if not declared:
        raise CommandError(f"{name!r} declares no action.")
    with registry.temporarily(*(each for each in declared if each not in (*registry.actions(), *registry.triggers()))):
        return declared


def _counted(declared: Sequence[Declaration]) -> str:
    """Return how many there are, as ``16 actions, 2 triggers``."""
    triggers = sum(not isinstance(each, Action) for each in declared)
    told = f"{len(declared) - triggers} actions"
    return f"{told}, {triggers} triggers" if triggers else told


def _described(action: Declaration) -> dict[str, Any]:
    return {
        "key": action.key,
        "kind": "action" if isinstance(action, Action) else "trigger",
        "name": action.name,
        "provider": action.provider.key,
        "description": action.description,
        "accepted_auth": sorted(action.accepted_auth),
        "idempotent": action.idempotent if isinstance(action, Action) else True,
        "declared_at": action.origin,
        "input_schema": action.input_json_schema(),
        "output_schema": action.output_json_schema(),
    }


def _parsed(action: Action, given: Sequence[str]) -> dict[str, Any]:
    """Return ``name=value`` pairs as inputs; a value that is no text for its field is read as JSON."""
    inputs: dict[str, Any] = {}
    properties = action.input_json_schema().get("properties", {})
    for pair in given:
        name, separator, value = pair.partition("=")
        if not separator:
            raise CommandError(f"--input takes NAME=VALUE, and {pair!r} has no equals sign.")
        is_text = name in action.secret_inputs or properties.get(name, {}).get("type") == "string"
        inputs[name] = value if is_text else _json_or_text(value)
    return inputs


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def _open(name: str, slug: str) -> _Opened:
    if not name and not slug:
        return _Opened()
    tenant = Tenant.objects.filter(slug=slug).first()
    if tenant is None:
        raise CommandError(
            f"There is no tenant {slug!r}." if slug else "A credential belongs to a tenant: give --tenant."
        )
    reach = tuple(tenant.egress_allow or ())
    if not name:
        return _Opened(egress_allow=reach, tenant_id=str(tenant.pk))
    resolved = fresh_credential(tenant=tenant, name=name)
    return _Opened(
        auth=resolved.auth,
        settings=resolved.settings,
        secrets=resolved.secrets,
        egress_allow=reach,
        tenant_id=str(tenant.pk),
    )


async def _run(action: Action, given: Mapping[str, Any], opened: _Opened, log: StepLog) -> Any:
    inputs = action.validate_inputs(given)
    action.check_auth(opened.auth)
    seconds = action.timeout or TRY_SECONDS
    deadline, key = datetime.now(UTC) + timedelta(seconds=seconds), uuid.uuid4().hex
    policy = egress_policy()
    pool = HttpPool(policy)
    try:
        http = pool.client(
            **http_options(action, opened.auth, opened.settings, settings.ENV.base_urls),
            egress_allow=opened.egress_allow,
            deadline=deadline,
            idempotency_key=key,
            secrets=opened.secrets,
        )
        context: RunContext[Any] = RunContext(
            inputs=inputs,
            auth=AuthView(opened.auth),
            client=lambda: http,
            log=log,
            tenant_id=opened.tenant_id,
            run_id=key,
            step_key="try",
            attempt=1,
            idempotency_key=key,
            deadline=deadline,
            evaluator=ItemEvaluator(given, {}) if action.per_item else None,
            settings=opened.settings,
            dialler=dialler(policy, egress_allow=opened.egress_allow, deadline=deadline),
        )
        async with asyncio.timeout(seconds + 1):
            return await action.run(context)
    finally:
        await pool.aclose()
