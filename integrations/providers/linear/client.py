"""How Linear is spoken to: GraphQL. Errors are ``{"errors": [{"message", "extensions"}]}``, with status 200 or 400.

Source: linear.app/developers, the pages on GraphQL, on rate limiting (400 with RATELIMITED) and on OAuth, and the
kinds of error in Linear's own library.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from integrations.sdk import (
    Account,
    AuthContext,
    AuthError,
    InputError,
    IntegrationError,
    Permanent,
    PermissionMissing,
    RateLimited,
    Transient,
)
from integrations.sdk.client import Response, StepHttp

BASE_URL: Final = "https://api.linear.app"
AUTHORIZE_URL: Final = "https://linear.app/oauth/authorize"
TOKEN_URL: Final = "https://api.linear.app/oauth/token"
REVOKE_URL: Final = "https://api.linear.app/oauth/revoke"
DOCS_URL: Final = "https://linear.app/developers/graphql"
KEYS_URL: Final = "https://linear.app/settings/account/security"
SCOPES: Final = ("read", "write")

GRAPHQL: Final = "graphql"
WHO: Final = "query Who { viewer { id name email organization { name } } }"
_MOST_WAIT: Final = 3600.0
_RESETS: Final = ("x-ratelimit-requests-reset", "x-ratelimit-complexity-reset")

# By an error's type or code, both written alike.
ERRORS: Final[Mapping[str, tuple[type[IntegrationError], str]]] = {
    "authentication error": (AuthError, "Connect Linear again or enter a new API key."),
    "forbidden": (PermissionMissing, "The account may not do this: it must be in the team, with the scope to write."),
    "feature not accessible": (PermissionMissing, "The workspace's plan or settings do not have this."),
    "invalid input": (InputError, "Compare the step's inputs with the team in Linear."),
    "input error": (InputError, "Compare the step's inputs with the team in Linear."),
    "user error": (InputError, "Compare the step's inputs with the team in Linear."),
    "usage limit exceeded": (Permanent, "The workspace has as many issues as its plan allows."),
    "ratelimited": (RateLimited, "Linear takes only so many requests an hour."),
    "lock timeout": (Transient, "Something else changed it at the same moment."),
    "network error": (Transient, "Linear is away for a moment."),
    "internal error": (Transient, "Linear is away for a moment."),
    "internal server error": (Transient, "Linear is away for a moment."),
}


async def ask(http: StepHttp, query: str, variables: Mapping[str, Any], *, idempotent: bool = True) -> Response:
    """Send a query and return the answer, which has data and no errors. Raises the error that Linear names."""
    body = {"query": query, "variables": dict(variables)}
    response = await http.post(GRAPHQL, json=body, idempotent=idempotent)
    if response.is_success and not errors_of(response):
        return response
    raise refusal(response)


def data_of(response: Response, name: str) -> dict[str, Any]:
    """Return the object that an answer has by a name."""
    data = response.json_object().get("data")
    found = data.get(name) if isinstance(data, dict) else None
    if not isinstance(found, dict):
        raise response.unexpected()
    return found


def nodes_of(response: Response, name: str) -> list[dict[str, Any]]:
    """Return the rows of a list that an answer has by a name, each with its id."""
    nodes = data_of(response, name).get("nodes")
    if not isinstance(nodes, list) or not all(
        isinstance(row, dict) and isinstance(row.get("id"), str) for row in nodes
    ):
        raise response.unexpected()
    return nodes


def refusal(response: Response) -> IntegrationError:
    """Return the error of an answer outside 2xx, or of one with errors in it."""
    first = (errors_of(response) or [{}])[0]
    extensions = first.get("extensions")
    said = extensions if isinstance(extensions, dict) else {}
    text = said.get("userPresentableMessage") or first.get("message")
    message = f"Linear: {text}"[:500] if isinstance(text, str) and text else ""
    if response.status_code >= 500 or response.status_code in (401, 429):
        return response.error(message)
    for name in ("type", "code"):
        kind, hint = ERRORS.get(str(said.get(name) or "").lower().replace("_", " "), (None, ""))
        if kind is not None:
            return response.error(
                message, kind=kind, hint=hint, pause=_pause(response) if kind is RateLimited else None
            )
    return response.error(message, kind=Permanent if response.is_success else None)


def _pause(response: Response) -> float | None:
    """Return the seconds until the limit that is used up begins anew, from a time in milliseconds."""
    if "retry-after" in response.headers:
        return None
    told = [response.headers.get(name, "") for name in _RESETS]
    ends = [int(each) / 1000 - time.time() for each in told if each.isascii() and each.isdigit() and len(each) < 16]
    return min(max(*ends, 1.0), _MOST_WAIT) if ends else None


def errors_of(response: Response) -> list[dict[str, Any]]:
    errors = response.said().get("errors")
    return [each for each in errors if isinstance(each, dict)] if isinstance(errors, list) else []


async def account(ctx: AuthContext) -> Account:
    """Ask whose key or token this is, and in which workspace."""
    response = await ask(ctx.http, WHO, {})
    viewer = data_of(response, "viewer")
    if not isinstance(viewer.get("id"), str):
        raise response.unexpected()
    organization = viewer.get("organization")
    place = organization.get("name") if isinstance(organization, dict) else None
    name = str(viewer.get("email") or viewer.get("name") or viewer["id"])
    return Account(label=f"{name} in {place}" if place else name)
