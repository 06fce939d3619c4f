"""The rows of the add-step menu as HTML: there may be hundreds, and a template draws a few in a millisecond."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from integrations.sdk import Action
from orchestrator.builder.add_search import Piece, pieces
from orchestrator.builder.spoken import Words, words_of
from orchestrator.templatetags.ui import icon, tile
from orchestrator.vault.models import Credential, Health
from orchestrator.words import kept_by_language

_HIDDEN = SafeString(" hidden")


def row_html(
    action: Action,
    *,
    dom_id: str,
    words: Words,
    category: str,
    wanted: Sequence[str],
    shown: bool,
    credential: Credential | None,
    needs: bool,
) -> SafeString:
    """Return one action as a button of the form; ``needs`` tells that there is no credential for it yet."""
    # What is hidden is marked by the script once it is shown.
    face = _face(action) if not (shown and wanted) else _marked(action, words, wanted)
    return format_html(
        '<button class="op" id="{}" name="action" value="{}" data-find="{}" data-cat="{}"{}>{}{}</button>\n',
        dom_id,
        action.key,
        words.find,
        category,
        "" if shown else _HIDDEN,
        face,
        _readiness(credential, needs=needs),
    )


@kept_by_language(maxsize=4_000)
def _face(action: Action) -> SafeString:
    return _marked(action, words_of(action), ())


def _marked(action: Action, words: Words, wanted: Sequence[str]) -> SafeString:
    """Return tile, name and description, with the words of a search marked."""
    return format_html(
        '{}<span class="min0"><b class="trunc" data-mark>{}</b><span class="d trunc" data-mark>{}</span></span>',
        tile(action.provider),
        _pieces(pieces(words.name, wanted)),
        _pieces(pieces(f"{words.provider} · {words.description}", wanted)),
    )


def _pieces(found: Sequence[Piece]) -> SafeString:
    parts = (format_html("<mark>{}</mark>", piece.text) if piece.hit else piece.text for piece in found)
    return format_html_join("", "{}", ((part,) for part in parts))


def _readiness(credential: Credential | None, *, needs: bool) -> SafeString | str:
    if credential is not None:
        works = credential.health != Health.RECONNECT
        words = _("%(name)s connected") if works else _("%(name)s needs a new secret")
        return format_html(
            '<span class="st {}">{}<span class="trunc">{}</span></span>',
            "ok" if works else "warn",
            icon("check" if works else "alert"),
            words % {"name": credential.name},
        )
    return format_html('<span class="xs mute nw hide">{}</span>', _("needs a credential")) if needs else ""
