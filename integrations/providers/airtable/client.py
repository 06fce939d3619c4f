"""How Airtable is spoken to. Errors are ``{"error": {"type", "message"}}``, or ``{"error": "NOT_FOUND"}``.

Source of the types and limits: Airtable's pages on errors and rate limits of its Web API.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from integrations.sdk import (
    Account,
    AuthContext,
    InputError,
    IntegrationError,
    NotFound,
    Permanent,
    PermissionMissing,
    RateLimited,
    Transient,
)
from integrations.sdk.client import Response, StepHttp

BASE_URL: Final = "https://api.airtable.com"
AUTHORIZE_URL: Final = "https://airtable.com/oauth2/v1/authorize"
TOKEN_URL: Final = "https://airtable.com/oauth2/v1/token"
DOCS_URL: Final = "https://airtable.com/developers/web/api/introduction"
TOKENS_URL: Final = "https://airtable.com/create/tokens"

BASES_PATH: Final = "v0/meta/bases"
# After too many requests, five a second for a base, none is taken for so long.
PENALTY_SECONDS: Final = 30.0

ERRORS: Final[Mapping[str, tuple[type[IntegrationError], str]]] = {
    "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND": (
        PermissionMissing,
        "Check the ids of base and table; the token must have access to the base and the scope for this.",
    ),
    "INVALID_PERMISSIONS": (PermissionMissing, "The token's owner may not do this in that base."),
    "TABLE_NOT_FOUND": (NotFound, "Check the table's name or id."),
    "NOT_FOUND": (NotFound, "Check the ids of base, table and record."),
    "ROW_DOES_NOT_EXIST": (NotFound, "Check the record's id; it may be deleted."),
    "MODEL_ID_NOT_FOUND": (NotFound, "Check the record's id; it may be deleted."),
    "UNKNOWN_FIELD_NAME": (InputError, "Write the field's name as in the table, with its capitals."),
    "INVALID_VALUE_FOR_COLUMN": (InputError, "Give a value of the field's kind, or let Airtable convert it."),
    "INVALID_MULTIPLE_CHOICE_OPTIONS": (InputError, "Choose one of the field's options, or let Airtable add it."),
    "INVALID_FILTER_BY_FORMULA": (InputError, "Try the formula in a formula field of the table."),
    "VIEW_NAME_NOT_FOUND": (InputError, "Check the view's name or id."),
    "LIST_RECORDS_ITERATOR_NOT_AVAILABLE": (Transient, "The list is begun again: Airtable forgot where it was."),
    "PUBLIC_API_BILLING_LIMIT_EXCEEDED": (Permanent, "The plan's calls of this month are used up."),
    "RATE_LIMIT_REACHED": (RateLimited, "Airtable takes five requests a second for a base."),
}


def table_path(base_id: str, table: str) -> str:
    """Return the path of a table, whose name may have any character."""
    return f"v0/{quote(base_id, safe='')}/{quote(table, safe='')}"


async def ask(http: StepHttp, path: str, params: Sequence[tuple[str, str]] = ()) -> Response:
    """Read something and return the answer. Raises the error that Airtable names."""
    return checked(await http.get(path, params=list(params)))


async def create(http: StepHttp, path: str, payload: Mapping[str, Any]) -> Response:
    return checked(await http.post(path, json=dict(payload)))


async def update(http: StepHttp, path: str, payload: Mapping[str, Any]) -> Response:
    """Set fields of records. A lost answer is asked for again: the same values make the same record."""
    return checked(await http.patch(path, json=dict(payload), idempotent=True))


def records_of(response: Response) -> list[dict[str, Any]]:
    """Return the records of an answer, each with its id and fields."""
    rows = response.json_object().get("records")
    if not isinstance(rows, list) or not all(_is_record(row) for row in rows):
        raise response.unexpected()
    return rows


def _is_record(row: object) -> bool:
    return isinstance(row, dict) and isinstance(row.get("id"), str) and isinstance(row.get("fields"), dict)


def checked(response: Response) -> Response:
    """Return a successful answer, or raise the classified error with Airtable's own message."""
    if response.is_success:
        return response
    raise refusal(response)


def refusal(response: Response) -> IntegrationError:
    """Return the error of an answer outside 2xx. What cannot be processed (422) is a wrong input."""
    code, text = _error_of(response)
    message = f"Airtable: {text or code}" if text or code else ""
    if response.status_code >= 500:
        return response.error(message)
    kind, hint = ERRORS.get(code, (InputError if response.status_code == 422 else None, ""))
    error = response.error(message, hint=hint, kind=kind)
    if isinstance(error, RateLimited) and error.retry_after is None:
        error.retry_after = PENALTY_SECONDS
    return error


def _error_of(response: Response) -> tuple[str, str]:
    """Return the type and the message of an error, empty where the answer is of another form."""
    answer = response.said()
    error = answer.get("error")
    listed = answer.get("errors")
    if error is None and isinstance(listed, list) and listed and isinstance(listed[0], dict):
        return str(listed[0].get("error") or ""), str(listed[0].get("message") or "")
    if isinstance(error, dict):
        return str(error.get("type") or ""), str(error.get("message") or "")
    return (error, "") if isinstance(error, str) else ("", "")


async def account(ctx: AuthContext) -> Account:
    """Ask whose token this is (whoami needs no scope; the address, one)."""
    response = await ask(ctx.http, "v0/meta/whoami")
    answer = response.json_object()
    if not isinstance(answer.get("id"), str):
        raise response.unexpected()
    scopes = answer.get("scopes")
    return Account(
        label=str(answer.get("email") or f"Airtable user {answer['id']}"),
        scopes=tuple(map(str, scopes)) if isinstance(scopes, list) else (),
    )
