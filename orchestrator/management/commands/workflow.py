"""``workflow export`` and ``workflow import``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

from django.core.management.base import CommandError, CommandParser

from orchestrator import jsongate
from orchestrator.errors import Invalid, Problem
from orchestrator.management.terminal import TerminalCommand, tenant_with
from orchestrator.tenants.access import Actor, system_actor
from orchestrator.workflows.models import Workflow
from orchestrator.workflows.portable import Exported, Given, read_document, workflow_export, workflows_import
from orchestrator.workflows.selectors import with_draft

STDIN: Final = "-"


class Command(TerminalCommand):
    help = "Write workflows to files, one JSON document each, or take such files in as drafts that are off."

    def add_arguments(self, parser: CommandParser) -> None:
        operations = self.operations(parser)
        export = operations.add_parser("export", help="write a workflow's draft as JSON, without secrets")
        export.add_argument("--tenant", required=True, metavar="SLUG")
        export.add_argument("workflow", nargs="?", metavar="WORKFLOW", help="its slug or id")
        export.add_argument("--all", action="store_true", help="every workflow, each as <slug>.json in a folder")
        export.add_argument("--output", metavar="FILE", help="the file to write; with --all the folder")
        taking = operations.add_parser("import", help="make workflows of files; they are off and not published")
        taking.add_argument("--tenant", required=True, metavar="SLUG")
        taking.add_argument("file", metavar="FILE", help="a file, - for standard input, or a folder of *.json")
        taking.add_argument(
            "--check", action="store_true", help="write nothing; fail with every problem a publish would refuse"
        )
        taking.add_argument("--replace", action="store_true", help="replace the draft where the slug is taken")

    def work(self, options: dict[str, Any]) -> None:
        actor = system_actor(tenant_with(options["tenant"]))
        if options["operation"] == "import":
            self._import(actor, options)
        elif options["all"]:
            self._export_all(actor, options)
        else:
            self._export(actor, options)

    def _export(self, actor: Actor, options: dict[str, Any]) -> None:
        if not options["workflow"]:
            raise CommandError("Say which workflow, by its slug or id, or --all for every one.")
        exported = workflow_export(_workflow(actor, options["workflow"]))
        if options["output"]:
            _write(Path(options["output"]), exported.text)
        else:
            self.stdout.write(exported.text, ending="")
        self._tell_hidden(exported)

    def _export_all(self, actor: Actor, options: dict[str, Any]) -> None:
        if options["workflow"] or not options["output"]:
            raise CommandError("With --all give --output FOLDER, and no workflow.")
        folder = Path(options["output"])
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CommandError(f"{folder} cannot be made a folder: {error.strerror}.") from error
        count = 0
        rows = with_draft(Workflow.objects.for_tenant(actor.tenant).order_by("slug"))
        for workflow in rows.iterator(chunk_size=50):
            exported = workflow_export(workflow)
            _write(folder / f"{exported.slug}.json", exported.text)
            self._tell_hidden(exported)
            count += 1
        self.stdout.write(f"{count} workflows were written to {folder}.")

    def _tell_hidden(self, exported: Exported) -> None:
        for path in exported.hidden:
            self.stderr.write(f"{exported.slug}: {path} looks like a secret, and was left out: use a credential.")

    def _import(self, actor: Actor, options: dict[str, Any]) -> None:
        given, unread = _read(options["file"])
        for name, problem in unread:
            self._tell(name, problem)
        if unread:
            raise CommandError("Nothing was taken in: correct what is told above.")
        found = workflows_import(actor=actor, given=given, replace=options["replace"], dry_run=options["check"])
        problems = sum(len(each.problems) for each in found)
        for each in found:
            for problem in (*each.problems, *each.warnings):
                self._tell(each.name, problem)
        if any(each.workflow is None for each in found):
            raise CommandError(f"Nothing was taken in: {problems} problem(s) to correct.")
        if options["check"]:
            if problems:
                raise CommandError(f"{problems} problem(s) that a publish would refuse. Nothing was written.")
            self.stdout.write(f"{len(found)} workflow(s) checked, and nothing was written.")
            return
        for each in found:
            if each.workflow is not None:
                self.stdout.write(f"{each.workflow.slug}: its draft was taken in. Publish it to let it run.")

    def _tell(self, name: str, problem: Problem) -> None:
        kind = "warning: " if problem.severity == "warning" else ""
        self.stderr.write(": ".join(part for part in (name, problem.path, kind + problem.message) if part))


def _workflow(actor: Actor, text: str) -> Workflow:
    rows = with_draft(Workflow.objects.for_tenant(actor.tenant))
    found = rows.filter(slug=text).first() if "\0" not in text else None
    if found is None and text.isascii() and text.isdigit() and len(text) < 19:
        found = rows.filter(pk=int(text)).first()
    if found is None:
        raise CommandError(f"There is no workflow {text!r:.80} in {actor.tenant.slug}.")
    return found


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from error


def _read(name: str) -> tuple[list[Given], list[tuple[str, Problem]]]:
    """Return the documents of a file, or of a folder's files by name, and what could not be read."""
    folder = Path(name)
    paths: list[Path | None] = [None] if name == STDIN else [folder]
    if name != STDIN and folder.is_dir():
        paths = [*sorted(folder.glob("*.json"))]
        if not paths:
            raise CommandError(f"{folder} has no file *.json.")
    given, unread = list[Given](), list[tuple[str, Problem]]()
    for path in paths:
        shown = path.name if path is not None and path != folder else ""
        try:
            given.append(Given(name=shown, document=read_document(_bytes(path))))
        except Invalid as error:
            unread += [(shown, problem) for problem in error.problems]
    return given, unread


def _bytes(path: Path | None) -> bytes:
    try:
        if path is None:
            return sys.stdin.buffer.read(jsongate.MAX_BYTES + 1)
        with path.open("rb") as file:
            return file.read(jsongate.MAX_BYTES + 1)
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
