"""``manage.py integration new | list | lint | try``: tools for those who write integrations."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from integrations.registry import RegistryError, all_declared_in, load_module, registry
from integrations.sdk import Action, DeclarationError
from integrations.sdk.declaration import Declaration
from integrations.sdk.lint import Finding, lint, network_at_import
from integrations.sdk.quality import Assessment, assess, folder_of, quality_findings
from integrations.sdk.scaffold import CannotScaffold, Plan, as_package, in_library, in_one_file
from orchestrator.management import listing
from orchestrator.management.terminal import TerminalCommand
from orchestrator.management.trying import Trial, tried
from orchestrator.vault.services import CredentialUnavailable


class Command(TerminalCommand):
    help = "Write, list, check and try integrations."

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True, parser_class=ArgumentParser)
        _new_arguments(commands.add_parser("new", help="write a new integration with a passing test"))
        _list_arguments(commands.add_parser("list", help="list every registered action and trigger"))
        checking = commands.add_parser("lint", help="check integrations; exits non-zero on a finding")
        checking.add_argument("modules", nargs="*", help="a module or a provider's key; all if left out")
        _try_arguments(commands.add_parser("try", help="run one action, poll or request now and print what it gives"))

    def work(self, options: dict[str, Any]) -> None:
        handlers: dict[str, Callable[..., None]] = {
            "new": self.new,
            "list": self.list_declared,
            "lint": self.lint,
            "try": self.try_one,
        }
        with _explained():
            handlers[options["command"]](**options)

    def new(self, *, name: str, package: Path | None, one_file: bool, **_: Any) -> None:
        """Write the files and name the next commands."""
        plan = _planned(name, package, one_file=one_file)
        plan.write()
        for path in plan.files:
            self.stdout.write(f"wrote {path}")
        (test,) = (path for path in plan.files if path.name.startswith("test_"))
        self.stdout.write(f"Its test passes: python -m pytest {test}")
        if package is not None:
            self.stdout.write(f"Install it beside the product to register it: pip install -e {package}")
        self.stdout.write(f"Then check it, and start the product again: python manage.py integration lint {name}")

    def list_declared(self, *, provider: Sequence[str], kind: str, as_json: bool, quality: bool, **_: Any) -> None:
        """Print what is registered, or how good its providers are."""
        chosen = listing.chosen(provider, kind)
        if quality:
            found = _assessed(chosen)
            told = [listing.quality_row(each) for each in found]
            self.stdout.write(json.dumps(told, indent=2) if as_json else "\n".join(listing.quality_lines(found)))
        elif as_json:
            self.stdout.write(json.dumps([listing.described(each) for each in chosen], indent=2))
        else:
            self.stdout.write("\n".join(listing.lines(chosen)))

    def lint(self, *, modules: Sequence[str], **_: Any) -> None:
        """Print every finding and exit with status 1 if there is one."""
        chosen = [each for name in modules for each in _named(name)] if modules else listing.chosen((), "")
        findings: list[Finding] = lint(chosen)
        findings += [finding for each in _assessed(chosen) for finding in quality_findings(each)]
        findings += network_at_import(sorted({each.origin.rpartition(":")[0] for each in chosen}))
        for finding in findings:
            self.stdout.write(str(finding))
        if findings:
            raise CommandError(f"{len(findings)} to correct in {_counted(chosen)}.")
        self.stdout.write(f"{_counted(chosen)}, nothing to correct.")

    def try_one(self, **options: Any) -> None:
        """Run one action as a step would, or ask or read a trigger as the product does, and print it as JSON."""
        trial = Trial(**{name: options[name] for name in Trial.__dataclass_fields__})
        output = tried(trial, lambda text: self.stderr.write(text))
        self.stdout.write(json.dumps(output, indent=2, ensure_ascii=False, default=str))


def _new_arguments(new: ArgumentParser) -> None:
    new.add_argument("name", help="the provider's key in snake_case")
    where = new.add_mutually_exclusive_group()
    where.add_argument("--package", metavar="DIR", type=Path, help="a package of its own in DIR, not in the library")
    where.add_argument("--one-file", action="store_true", help="one module and its test, not a folder")


def _list_arguments(listed: ArgumentParser) -> None:
    listed.add_argument("--provider", action="append", default=[], metavar="KEY", help="of this provider alone; repeat")
    listed.add_argument("--kind", choices=("action", "trigger"), default="", help="actions alone, or triggers alone")
    listed.add_argument("--quality", action="store_true", help="the providers' levels, and what stands behind them")
    listed.add_argument("--json", action="store_true", dest="as_json", help="as JSON, with the schemas")


def _try_arguments(trying: ArgumentParser) -> None:
    trying.add_argument("key", help="like slack.sendMessage or rss.newItem")
    trying.add_argument("--input", action="append", default=[], metavar="NAME=VALUE", dest="inputs")
    trying.add_argument("--credential", default="", metavar="NAME", help="a credential of the tenant")
    trying.add_argument("--tenant", default="", metavar="SLUG")
    trying.add_argument("--record", type=Path, metavar="FILE", help="write an action's exchange, without its secrets")
    trying.add_argument("--cursor", default="", metavar="JSON", help="where a poll goes on, as the one before printed")
    trying.add_argument("--body", type=Path, metavar="FILE", help="a request to a trigger; - reads the input")
    trying.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        dest="headers",
        help="of the request, or @FILE with one a line",
    )
    trying.add_argument("--method", default="", help="of the request; the first that the trigger takes if left out")
    trying.add_argument("--secret-file", type=Path, metavar="FILE", help="the secret that the request is signed with")
    trying.add_argument("--at", default="", metavar="TIME", help="when the request came; now if left out")


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Turn what an author can get wrong into one sentence."""
    try:
        yield
    except (RegistryError, DeclarationError, CannotScaffold, CredentialUnavailable) as error:
        raise CommandError(str(error)) from None


def _planned(name: str, package: Path | None, *, one_file: bool) -> Plan:
    with contextlib.suppress(RegistryError):  # what is broken already is no reason not to write something new
        if (known := registry.provider(name)) is not None:
            raise CommandError(
                f"There is a provider {name!r} already, declared at {known.origin}: choose another name, or add your "
                "action there."
            )
    if package is not None:
        _refuse_taken(name, package)
        return as_package(name, package)
    root = Path(settings.BASE_DIR)
    if not (root / "tests" / "providers").is_dir():
        raise CommandError("This is an installed product: give --package DIR for a package of your own.")
    return in_one_file(name, root) if one_file else in_library(name, root)


def _refuse_taken(name: str, directory: Path) -> None:
    """A package that is importable already would be imported in place of the new one, or be hidden by it."""
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    if name in sys.stdlib_module_names or (spec and not str(spec.origin or "").startswith(str(directory.resolve()))):
        raise CommandError(f"There is a Python package named {name!r} already: choose another name, like my_{name}.")


def _named(name: str) -> list[Declaration]:
    """Return the actions and triggers of a provider by its key, or those that a module declares."""
    if registry.provider(name) is not None:
        return listing.chosen((name,), "")
    if not _is_module(name):
        raise CommandError(
            f"There is no provider and no module {name!r}: `manage.py integration list` shows what is registered."
        )
    declared = all_declared_in(load_module(name))
    if not declared:
        raise CommandError(f"{name!r} declares no action: decorate a function of it with @action.")
    with registry.temporarily(*(each for each in declared if each not in (*registry.actions(), *registry.triggers()))):
        return declared


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _assessed(declared: Sequence[Declaration]) -> list[Assessment]:
    """Return how good the providers are, our own steps apart: what those give depends on the workflow."""
    providers = {id(each.provider): each.provider for each in declared}
    return [
        assess(provider, [each for each in declared if each.provider is provider], root=_tests_of(folder_of(provider)))
        for provider in sorted(providers.values(), key=lambda provider: provider.key)
        if not provider.origin.startswith("integrations.builtin")
    ]


def _tests_of(folder: Path | None) -> Path | None:
    """Return the folder that holds the tests of a provider's folder: the project's, or a package's own."""
    root = Path(settings.BASE_DIR)
    if folder is None or folder.is_relative_to(root / "integrations"):
        return root if (root / "tests" / "contract").is_dir() else None
    return folder.parent if (folder.parent / "tests").is_dir() else None


def _counted(declared: Sequence[Declaration]) -> str:
    """Return how many there are, as ``16 actions, 1 trigger``."""
    triggers = sum(not isinstance(each, Action) for each in declared)
    told = _number(len(declared) - triggers, "action")
    return f"{told}, {_number(triggers, 'trigger')}" if triggers else told


def _number(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
