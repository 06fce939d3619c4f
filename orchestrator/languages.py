"""The languages that the pages can be read in: English, and each that a catalogue is there for."""

from __future__ import annotations

from pathlib import Path

from django.conf.locale import LANG_INFO
from django.utils.translation import to_language

ENGLISH = ("en", "English")


def offered(folder: Path) -> list[tuple[str, str]]:
    """Return English and the languages whose compiled catalogues lie in a folder, as Django's ``LANGUAGES``."""
    codes = {to_language(path.parents[1].name) for path in folder.glob("*/LC_MESSAGES/django.mo")}
    named = ((code, str(LANG_INFO.get(code, {}).get("name_local", code))) for code in sorted(codes - {ENGLISH[0]}))
    return [ENGLISH, *named]
