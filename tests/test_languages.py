"""A catalogue that is put where they lie is spoken to who asks for its language, on pages and by the API."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import translation

from orchestrator.languages import offered
from orchestrator.tenants.models import Tenant
from tests.api.conftest import MakeCaller, caller_for

__all__ = ["caller_for"]  # a fixture of the API's tests
WORDS = {
    "": "Content-Type: text/plain; charset=UTF-8\n",
    "Sign in": "Ensaluti",
    "There is no such %(kind)s in this tenant.": "Ne ekzistas tia %(kind)s ĉi tie.",
}


def compiled(words: dict[str, str]) -> bytes:
    """Return a catalogue as GNU gettext compiles it."""
    pairs = [(key.encode(), value.encode()) for key, value in sorted(words.items())]
    at, texts, tables = 28 + 16 * len(pairs), b"", [b"", b""]
    for place in (0, 1):
        for pair in pairs:
            tables[place] += struct.pack("<2I", len(pair[place]), at + len(texts))
            texts += pair[place] + b"\0"
    header = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, at)
    return header + tables[0] + tables[1] + texts


@pytest.fixture
def catalogue(tmp_path: Path, settings: Any) -> Path:
    """Put a catalogue in Esperanto into a folder of its own, and have the settings made of it."""
    path = tmp_path / "eo" / "LC_MESSAGES" / "django.mo"
    path.parent.mkdir(parents=True)
    path.write_bytes(compiled(WORDS))
    settings.LOCALE_PATHS, settings.LANGUAGES = [tmp_path], offered(tmp_path)
    return path


def test_languages_are_those_that_have_a_compiled_catalogue(tmp_path: Path) -> None:
    for name in ("eo/LC_MESSAGES/django.mo", "pt_BR/LC_MESSAGES/django.mo", "de/LC_MESSAGES/django.po"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    assert offered(tmp_path / "nowhere") == [("en", "English")]
    assert [code for code, _name in offered(tmp_path)] == ["en", "eo", "pt-br"]


@pytest.mark.django_db
def test_a_page_speaks_the_language_that_is_asked_for(catalogue: Path) -> None:
    for asked, spoken, said in (
        ("eo", "eo", "Ensaluti"),
        ("fr;q=0.9,eo;q=0.8", "eo", "Ensaluti"),
        ("en,eo;q=0.5", "en", "Sign in"),
        ("fr", "en", "Sign in"),
        ("\x00;q=x,,*", "en", "Sign in"),
        ("", "en", "Sign in"),
    ):
        answer = Client().get("/sign-in/", headers={"Accept-Language": asked})
        assert f'<html lang="{spoken}"' in answer.text
        assert said in answer.text, asked
        assert (answer["Content-Language"], "Accept-Language" in answer["Vary"]) == (spoken, True)
        assert translation.get_language() == "en"


@pytest.mark.django_db
def test_the_codes_of_the_api_are_the_same_in_every_language(
    catalogue: Path, caller_for: MakeCaller, owner: User
) -> None:
    api = caller_for(owner)
    told = [json.loads(api("GET", "workflows/1/", Accept_Language=asked).content)["error"] for asked in ("en", "eo")]
    assert [error["code"] for error in told] == ["not_found", "not_found"]
    assert [error["message"][:8] for error in told] == ["There is", "Ne ekzis"]


@pytest.mark.django_db
def test_what_programs_call_has_no_language(catalogue: Path) -> None:
    translated = Client().get("/sign-in/", headers={"Accept-Language": "eo"})
    assert translated["Content-Language"] == "eo"
    for path in ("/h/nothing", "/c/nothing", "/healthz"):
        answer = Client().get(path, headers={"Accept-Language": "eo"})
        assert "Content-Language" not in answer
        assert "Accept-Language" not in answer.get("Vary", "")


@pytest.mark.django_db
def test_with_english_alone_nothing_is_asked_for(tenant: Tenant) -> None:
    answer = Client().get("/sign-in/", headers={"Accept-Language": "eo"})
    assert '<html lang="en"' in answer.text
    assert "Content-Language" not in answer
    assert "Accept-Language" not in answer.get("Vary", "")
