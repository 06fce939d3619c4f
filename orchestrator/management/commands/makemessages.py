"""``makemessages``: Django's own, which also finds what integrations declare, and the short name of ``gettext_noop``.

What actions, triggers and providers declare is no marked text in a file, and may be another package's. For the time of
the search it stands in a module in the working directory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from django.core.management.commands import makemessages

from integrations import sdk
from orchestrator.builder.reference import AUTH_KINDS, error_classes, first_line
from orchestrator.builder.spoken import said_by_all

MODULE: Final = "declared_by_integrations.py"


class Command(makemessages.Command):
    # A list of the class, as the base has it.
    xgettext_options = [*makemessages.Command.xgettext_options, "--keyword=noop"]  # noqa: RUF012

    def build_potfiles(self) -> list[str]:
        with declared_module(Path.cwd()):
            return super().build_potfiles()


@contextmanager
def declared_module(where: Path) -> Iterator[Path]:
    """Have every declared text in a module of marked texts for the length of a ``with`` block."""
    path = where / MODULE
    path.write_text(declared_lines(), encoding="utf-8")
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def declared_lines() -> str:
    """Return the module's text: each text with who declares it, as a note to translators."""
    of_sdk = {first_line(cls): cls.__name__ for cls in (*error_classes(), *(getattr(sdk, name) for name in AUTH_KINDS))}
    texts = {**of_sdk, **said_by_all()}
    lines = (f"# Translators: of {key}\ngettext_noop({text!r})\n" for text, key in texts.items() if text)
    return "".join(["from django.utils.translation import gettext_noop\n\n", *lines])
