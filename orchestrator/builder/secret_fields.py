"""The fields of a step that are secrets: which of the vault's there are to choose, and how the chosen one fares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.urls import reverse

from orchestrator.builder.step_form import Field
from orchestrator.flow.secret_inputs import PROVIDER, is_value
from orchestrator.tenants.models import Role
from orchestrator.vault.connecting import FIELD
from orchestrator.vault.faces import face_of
from orchestrator.vault.models import Credential
from orchestrator.vault.selectors import NEEDS_A_PERSON
from orchestrator.words import status_word

if TYPE_CHECKING:
    from orchestrator.builder.board import Board


def choosing(board: Board, key: str, drawn: tuple[Field, ...]) -> tuple[Field, ...]:
    """Return the fields of a step, the secret ones with the names that there are and where to make a new one."""
    if not any(field.kind == "secret" for field in drawn):
        return drawn
    rows = [row for row in board.credentials if is_value(row.provider, row.auth_type)]
    return tuple(_choosing(board, key, field, rows) if field.kind == "secret" else field for field in drawn)


def _choosing(board: Board, key: str, field: Field, rows: Sequence[Credential]) -> Field:
    choices = [(row.name, _words(row)) for row in rows]
    chosen = next((row for row in rows if row.name == field.value), None)
    if field.value and chosen is None:
        choices.append((field.value, board.unfit(field.value)))
    back = f"{board.url('workflow-step', key)}?{urlencode({FIELD: field.name})}"
    new = f"{reverse('credential-new', args=[board.tenant.slug])}?{urlencode({'provider': PROVIDER, 'next': back})}"
    return replace(
        field,
        # What a reference's text says is nobody's data.
        reads=(),
        choices=tuple(choices),
        choose_url=new if board.actor.may(Role.EDITOR) else "",
        health=face_of(chosen) if chosen else None,
        credential_url=reverse("credential", args=[board.tenant.slug, chosen.pk]) if chosen else "",
    )


def _words(row: Credential) -> str:
    """Return a secret's name, and what is wrong with it."""
    face = face_of(row)
    return f"{row.name} ({face.word or status_word(face.status)})" if face.status in NEEDS_A_PERSON else row.name
