"""How Notion is spoken to. Errors are ``{"object": "error", "status", "code", "message"}``.

Since version 2025-09-03 the rows of a database lie in its data sources, mostly one; a link in the app has the
database's id, so that one of a database is taken wherever a data source is meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from integrations.sdk import (
    Account,
    AuthContext,
    AuthError,
    InputError,
    IntegrationError,
    NotFound,
    PermissionMissing,
    RateLimited,
    Transient,
)
from integrations.sdk.client import Response, StepHttp
from integrations.words import gettext as _

BASE_URL: Final = "https://api.notion.com"
AUTHORIZE_URL: Final = "https://api.notion.com/v1/oauth/authorize"
TOKEN_URL: Final = "https://api.notion.com/v1/oauth/token"
REVOKE_URL: Final = "https://api.notion.com/v1/oauth/revoke"
DOCS_URL: Final = "https://developers.notion.com/reference/intro"
TOKENS_URL: Final = "https://www.notion.so/profile/integrations"

HEADERS: Final[Mapping[str, str]] = {"Notion-Version": "2025-09-03"}

PAGES_PATH: Final = "v1/pages"
SEARCH_PATH: Final = "v1/search"

ERRORS: Final[Mapping[str, tuple[type[IntegrationError], str]]] = {
    "unauthorized": (AuthError, "Connect Notion again or enter a new secret."),
    "restricted_resource": (PermissionMissing, "Give the integration the capability it lacks, in its settings."),
    "object_not_found": (
        NotFound,
        "Check the id, and add the integration to the page: in its menu, under Connections.",
    ),
    "validation_error": (InputError, "Compare the step's inputs with the database's properties."),
    "invalid_json": (InputError, "Check the step's inputs."),
    "conflict_error": (Transient, "Something else changed it at the same moment; nothing was saved."),
    "rate_limited": (RateLimited, "Notion takes about three requests a second."),
}


async def send(http: StepHttp, path: str, payload: Mapping[str, Any], *, reads: bool = False) -> Response:
    """Post to Notion and return the answer; one that only reads is asked again when its answer is lost."""
    return checked(await http.post(path, json=dict(payload), headers=HEADERS, idempotent=reads))


async def ask(http: StepHttp, path: str) -> Response:
    """Read something and return the answer. Raises the error that Notion names."""
    return checked(await http.get(path, headers=HEADERS))


async def data_source_of(http: StepHttp, database_id: str, refused: NotFound) -> str:
    """Return the id of a database's only data source, after it was ``refused`` as one itself.

    Raises that refusal where there is no such database either, and InputError where it has several data sources.
    """
    try:
        response = await ask(http, f"v1/databases/{database_id}")
    except NotFound:
        raise refused from None
    listed = response.json_object().get("data_sources")
    if not isinstance(listed, list) or not all(isinstance(row, dict) and _is_id(row.get("id")) for row in listed):
        raise response.unexpected()
    match listed:
        case [{"id": str(only)}]:
            return only
        case []:
            raise refused
    names = ", ".join(f"{row.get('name') or 'unnamed'} ({row['id']})" for row in listed[:5])
    raise InputError(
        _("The database has several sources: %(names)s") % {"names": names},
        field="database_id",
        hint=_("Give the id of one."),
    )


def _is_id(value: object) -> bool:
    return isinstance(value, str) and value.replace("-", "").isalnum() and value.isascii()


def checked(response: Response) -> Response:
    """Return a successful answer, or raise the classified error with Notion's own message."""
    if response.is_success:
        return response
    raise refusal(response)


def refusal(response: Response) -> IntegrationError:
    """Return the error of an answer outside 2xx."""
    answer = response.said()
    text, code = answer.get("message"), answer.get("code")
    message = f"Notion: {text}" if isinstance(text, str) and text and isinstance(code, str) else ""
    if response.status_code >= 500:
        return response.error(message)
    kind, hint = ERRORS.get(code, (None, "")) if isinstance(code, str) else (None, "")
    return response.error(message, hint=hint, kind=kind)


def is_refused_by_notion(error: NotFound) -> bool:
    """Whether it is Notion that does not know the object, and not something before it that knows no address."""
    return error.message.startswith("Notion: ")


async def account(ctx: AuthContext) -> Account:
    """Ask whose integration this is, and in which workspace."""
    response = await ask(ctx.http, "v1/users/me")
    answer = response.json_object()
    bot = answer.get("bot")
    if answer.get("object") != "user":
        raise response.unexpected()
    workspace = bot.get("workspace_name") if isinstance(bot, dict) else None
    name = answer.get("name") or "Notion"
    return Account(label=f"{name} in {workspace}" if workspace else str(name))
