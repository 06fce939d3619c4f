"""How Jira Cloud is spoken to: version 3 of its REST API, at the site of each customer.

Errors are ``{"errorMessages": [text], "errors": {field: text}}``. Source: developer.atlassian.com, the pages on the
REST API, on rate limiting (429 and 503 with Retry-After) and on basic authentication (403 with a header of Seraph's,
once somebody has to solve a captcha).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from integrations.sdk import Account, AuthContext, AuthError, InputError, IntegrationError, NotFound
from integrations.sdk.client import Response, StepHttp

DOCS_URL: Final = "https://developer.atlassian.com/cloud/jira/platform/rest/v3/intro/"
TOKENS_URL: Final = "https://id.atlassian.com/manage-profile/security/api-tokens"
ROOT: Final = "rest/api/3"
# Where a site is spoken to by its cloud id, and nobody reads an issue.
GATEWAY: Final = "api.atlassian.com"

_SHOWN: Final = 3
_CAPTCHA: Final = "AUTHENTICATION_DENIED"
# What Jira calls our inputs; what is none of them is one of the further fields.
_INPUTS: Final[Mapping[str, str]] = {
    "project": "project",
    "issuetype": "issue_type",
    "summary": "summary",
    "description": "description",
    "labels": "labels",
    "priority": "priority",
    "assignee": "assignee",
    "parent": "parent",
    "duedate": "due_date",
}
HINTS: Final[Mapping[int, tuple[type[IntegrationError] | None, str]]] = {
    400: (InputError, "Compare the step with the fields on the project's form to create an issue."),
    401: (AuthError, "Enter the mail address and a new API token: one that was revoked or has ended is refused."),
    403: (None, "Whose token it is may not do this: it needs a place in the project and its permissions."),
    404: (NotFound, "Check the site's address and the project; what the account may not see is told as missing."),
}


async def call(http: StepHttp, method: str, path: str, **options: Any) -> Response:
    """Call Jira and return its answer of success. Raises the error that an answer stands for."""
    response = await http.request(method, f"{ROOT}/{path}", **options)
    if response.is_success:
        return response
    raise refusal(response)


def refusal(response: Response) -> IntegrationError:
    """Return the error of an answer outside 2xx, with Jira's own words and the input that they are about."""
    texts, fields = _said(response)
    told = [*texts, *(f"{name}: {text}" for name, text in fields.items())][:_SHOWN]
    message = f"Jira: {'; '.join(told)}"[:500] if told else ""
    if _CAPTCHA in response.headers.get("x-seraph-loginreason", ""):
        hint = "Sign in to Jira in a browser once, where a captcha waits, then try again."
        return response.error(message, kind=AuthError, hint=hint)
    kind, hint = HINTS.get(response.status_code, (None, ""))
    if kind is InputError and not told:
        # Something before Jira refused it.
        kind, hint = None, ""
    error = response.error(message, kind=kind, hint=hint)
    if isinstance(error, InputError) and fields:
        error.field = _INPUTS.get(next(iter(fields)), "fields")
    return error


def _said(response: Response) -> tuple[list[str], dict[str, str]]:
    """Return Jira's messages, and those that are about a field by its name."""
    answer = response.said()
    texts, fields = answer.get("errorMessages"), answer.get("errors")
    return (
        [text for text in texts if isinstance(text, str) and text] if isinstance(texts, list) else [],
        {str(name): str(text) for name, text in fields.items()} if isinstance(fields, dict) else {},
    )


def rows_of(response: Response, rows: object, *has: str) -> list[dict[str, Any]]:
    """Return the rows of a list, each of which has texts of these names."""
    if not isinstance(rows, list):
        raise response.unexpected()
    for row in rows:
        if not isinstance(row, dict) or any(not isinstance(row.get(name), str) for name in has):
            raise response.unexpected()
    return rows


def page_of_issue(site: str, key: str) -> str:
    """Return where a person reads an issue, empty where the site's own address is not known."""
    return "" if not site or urlsplit(site).hostname == GATEWAY else f"{site.rstrip('/')}/browse/{key}"


async def account(ctx: AuthContext) -> Account:
    """Ask whose token this is."""
    response = await call(ctx.http, "GET", "myself")
    answer = response.json_object()
    if not isinstance(answer.get("accountId"), str):
        raise response.unexpected()
    host = urlsplit(str(ctx.settings.get("site") or "")).hostname or "Jira"
    return Account(label=f"{answer.get('displayName') or answer['accountId']} at {host}")
