"""How Asana is spoken to: ``{"data": …}`` both ways, errors as ``{"errors": [{"message", "help", "phrase"}]}``.

Source: developers.asana.com, the pages on errors, on rate limits (429 with Retry-After) and on OAuth.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from integrations.sdk import Account, AuthContext, AuthError, InputError, IntegrationError, NotFound, Permanent
from integrations.sdk.client import Response, StepHttp

BASE_URL: Final = "https://app.asana.com/api/1.0"
AUTHORIZE_URL: Final = "https://app.asana.com/-/oauth_authorize"
TOKEN_URL: Final = "https://app.asana.com/-/oauth_token"
REVOKE_URL: Final = "https://app.asana.com/-/oauth_revoke"
DOCS_URL: Final = "https://developers.asana.com/reference/createtask"
TOKENS_URL: Final = "https://app.asana.com/0/my-apps"
SCOPES: Final = ("tasks:read", "tasks:write", "projects:read", "users:read", "workspaces:read")

PER_PAGE: Final = 100
_SHOWN: Final = 3
HINTS: Final[Mapping[int, tuple[type[IntegrationError] | None, str]]] = {
    400: (InputError, "Compare the step's inputs with the project in Asana."),
    401: (AuthError, "Connect Asana again or enter a new token."),
    402: (Permanent, "The workspace's plan does not have this."),
    403: (None, "The account may not do this: it must be a member of the project, with the scope for tasks."),
    404: (NotFound, "Check the ids; what the account may not see is told as missing."),
    451: (Permanent, "Asana may not do this for legal reasons."),
}


async def call(http: StepHttp, method: str, path: str, **options: Any) -> Response:
    """Call Asana and return its answer of success. Raises the error that an answer stands for."""
    response = await http.request(method, path, **options)
    if response.is_success:
        return response
    raise refusal(response)


def refusal(response: Response) -> IntegrationError:
    """Return the error of an answer outside 2xx; of a wrong input, Asana says which before a colon."""
    texts = _said(response)
    message = f"Asana: {'; '.join(texts)}"[:500] if texts else ""
    kind, hint = HINTS.get(response.status_code, (None, ""))
    if kind is InputError and not texts:
        kind, hint = None, ""
    error = response.error(message, kind=kind, hint=hint)
    if isinstance(error, InputError):
        name, colon, _rest = texts[0].partition(":")
        error.field = name if colon and name.isidentifier() else None
    return error


def _said(response: Response) -> list[str]:
    rows = response.said().get("errors")
    found = [row.get("message") for row in rows[:_SHOWN] if isinstance(row, dict)] if isinstance(rows, list) else []
    return [text for text in found if isinstance(text, str) and text]


def data_of(response: Response) -> dict[str, Any]:
    """Return the object of an answer, which has an id."""
    data = response.json_object().get("data")
    if not isinstance(data, dict) or not isinstance(data.get("gid"), str):
        raise response.unexpected()
    return data


def page_of(response: Response) -> tuple[list[dict[str, Any]], str | None]:
    """Return the rows of a list, each with id and name, and where the next page begins."""
    answer = response.json_object()
    rows, following = answer.get("data"), answer.get("next_page")
    if not isinstance(rows, list):
        raise response.unexpected()
    for row in rows:
        if not isinstance(row, dict) or not isinstance(row.get("gid"), str):
            raise response.unexpected()
    offset = following.get("offset") if isinstance(following, dict) else None
    return rows, str(offset) if offset else None


async def account(ctx: AuthContext) -> Account:
    """Ask whose token this is."""
    person = data_of(await call(ctx.http, "GET", "users/me", params={"opt_fields": "name,email"}))
    return Account(label=str(person.get("email") or person.get("name") or person["gid"]))
