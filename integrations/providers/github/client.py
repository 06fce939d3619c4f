"""How GitHub is spoken to: version 2022-11-28 of its REST API.

Source: docs.github.com, the pages on rate limits, on pagination and on troubleshooting. Limits are answered with 403 or
429: wait Retry-After, else until x-ratelimit-reset where nothing remains, else a minute. What a token may not see is
answered with 404. Lists go on where the Link header says so. User-Agent is required, and the client sends one.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any, Final

from integrations.sdk import Account, AuthContext, IntegrationError, NotFound, Permanent, RateLimited
from integrations.sdk.client import Response, StepHttp
from integrations.sdk.status import retry_after

BASE_URL: Final = "https://api.github.com"
DOCS_URL: Final = "https://docs.github.com/en/rest"
TOKENS_URL: Final = "https://github.com/settings/tokens"
VERSION: Final = "2022-11-28"

REPOSITORY: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[A-Za-z0-9._-]{1,100}"
PER_PAGE: Final = 100
_LIMITS: Final = frozenset({403, 429})
_A_MINUTE: Final = 60.0
_MOST_WAIT: Final = 3_600.0
_NEXT: Final = re.compile(r'<[^>]*[?&]page=(\d{1,9})[^>]*>\s*;\s*rel="next"')
_HEADERS: Final = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": VERSION}
_NOT_SEEN: Final = "Check the name. GitHub says the same of a repository that the token may not see or change."


async def call(http: StepHttp, method: str, path: str, **options: Any) -> Response:
    """Call GitHub and return its answer of success. Raises the error that an answer stands for."""
    response = await http.request(method, path, headers=_HEADERS, **options)
    if response.is_success:
        return response
    raise refusal(response)


def refusal(response: Response) -> IntegrationError:
    """Return the error for an answer outside 2xx, with GitHub's own words."""
    said = _said(response)
    message = f"GitHub refused the call: {said}" if said else ""
    if response.status_code in _LIMITS and (seconds := _pause(response, said)) is not None:
        error = response.error(message, kind=RateLimited)
        if isinstance(error, RateLimited):
            error.retry_after = seconds
        return error
    if response.status_code in (404, 410):
        return response.error(message, hint=_NOT_SEEN, kind=NotFound)
    if response.status_code == 422:
        return response.error(message, hint="GitHub cannot do this with these inputs.", kind=Permanent)
    return response.error(message)


def _pause(response: Response, said: str) -> float | None:
    """Return the seconds to wait where a limit was met, None where something else is refused."""
    headers = response.headers
    if (told := retry_after(headers)) is not None:
        return min(told, _MOST_WAIT)
    reset = headers.get("x-ratelimit-reset", "")
    if headers.get("x-ratelimit-remaining") == "0" and re.fullmatch(r"\d{1,12}", reset):
        return min(max(float(reset) - time.time(), 1.0), _MOST_WAIT)
    return _A_MINUTE if response.status_code == 429 or "rate limit" in said.lower() else None


def _said(response: Response) -> str:
    """Return GitHub's own message with the first errors that it lists, in one line."""
    answer = response.said()
    errors = answer.get("errors")
    rows = errors if isinstance(errors, list) else []
    parts = [answer.get("message"), *(row.get("message") if isinstance(row, Mapping) else row for row in rows[:3])]
    return "; ".join(part for part in parts if isinstance(part, str) and part)[:500]


async def listed(
    http: StepHttp, path: str, page: int, *, has: str, **params: str
) -> tuple[list[dict[str, Any]], int | None]:
    """Return a page of a list, whose rows all have a field, and the number of the next one, None for the last."""
    query = {**params, "per_page": str(PER_PAGE), "page": str(page)}
    response = await call(http, "GET", path, params=query)
    rows = response.json()
    if not isinstance(rows, list) or any(not isinstance(row, dict) or has not in row for row in rows):
        raise response.unexpected()
    following = _NEXT.search(response.headers.get("link", ""))
    return rows, int(following[1]) if following else None


async def account(ctx: AuthContext) -> Account:
    """Ask whose token this is."""
    response = await call(ctx.http, "GET", "user")
    answer = response.json_object()
    scopes = response.headers.get("x-oauth-scopes", "")
    return Account(
        label=str(answer.get("login") or "?"),
        scopes=tuple(scope.strip() for scope in scopes.split(",") if scope.strip()),
    )
