"""Words for people where Django may not be known: texts are marked here, and whoever starts the product translates.

The names are those of ``django.utils.translation``, so that ``makemessages`` finds what is marked. Without a
translator, as in a test of an integration alone, every text stays as it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final


def _as_written(message: str) -> str:
    return message


def _as_counted(singular: str, plural: str, number: int) -> str:
    return singular if number == 1 else plural


@dataclass
class _Translator:
    one: Callable[[str], str] = _as_written
    many: Callable[[str, str, int], str] = _as_counted


_translator = _Translator()


def translate_by(one: Callable[[str], str], many: Callable[[str, str, int], str]) -> None:
    """Have texts translated from now on: ``one`` as ``gettext`` does, ``many`` as ``ngettext`` does."""
    _translator.one, _translator.many = one, many


def gettext(message: str) -> str:
    """Return a text in the language of whoever is served now. Call it when the text is needed, never at import."""
    return _translator.one(message)


def ngettext(singular: str, plural: str, number: int) -> str:
    """Return the form of a text that goes with a number, in the language of whoever is served now."""
    return _translator.many(singular, plural, number)


def declared(text: str) -> str:
    """Return what an integration declares, like a name, in the language of whoever is served now.

    It is declared as it is written; this is called where it is shown, and what it gives is never stored.
    """
    return _translator.one(text) if text else ""


def gettext_noop(message: str) -> str:
    """Mark a text that is kept, and translated by ``gettext`` each time it is needed."""
    return message


_KINDS: Final = {
    "oauth2": gettext_noop("a sign-in (OAuth 2)"),
    "api_key": gettext_noop("an API key"),
    "bearer_token": gettext_noop("a bearer token"),
    "basic": gettext_noop("a user name and password"),
}


def credential_words(kinds: Iterable[str]) -> str:
    """Return kinds of credentials as a sentence names them: "a sign-in (OAuth 2) or a bearer token"."""
    wanted = frozenset(kinds)
    return gettext(" or ").join(gettext(words) for kind, words in _KINDS.items() if kind in wanted)
