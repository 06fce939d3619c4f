"""How WordPress is spoken to: version 2 of its REST API, at a site of the customer's own.

Errors are ``{"code", "message", "data": {"status", "params"}}``. Source: developer.wordpress.org, the pages on posts,
terms and authentication of the REST API.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from integrations.sdk import (
    Account,
    AuthContext,
    AuthError,
    InputError,
    IntegrationError,
    NotFound,
    Permanent,
    PermissionMissing,
)
from integrations.sdk.client import Response, StepHttp
from integrations.words import gettext as _

DOCS_URL: Final = "https://developer.wordpress.org/rest-api/reference/posts/"
PASSWORDS_URL: Final = "https://make.wordpress.org/core/2020/11/05/application-passwords-integration-guide/"
ROOT: Final = "wp-json/wp/v2"
MOST: Final = 100

_MAY_NOT: Final = "The user's role on the site does not allow it: authors publish posts, contributors write drafts."
_DROPPED: Final = (
    "Enter user name and application password again. If they are right, the site's web server drops the Authorization "
    "header, or a plugin has switched application passwords off."
)
ERRORS: Final[Mapping[str, tuple[type[IntegrationError], str]]] = {
    "invalid_username": (AuthError, "Enter the name that you sign in with at the site."),
    "incorrect_password": (AuthError, "Make a new application password in the user's profile on the site."),
    "application_passwords_disabled": (AuthError, "The site takes no application passwords: switch them on."),
    "application_passwords_disabled_for_user": (AuthError, "The site takes no application passwords of this user."),
    "rest_not_logged_in": (AuthError, _DROPPED),
    "rest_cannot_create": (PermissionMissing, _MAY_NOT),
    "rest_cannot_publish": (PermissionMissing, _MAY_NOT),
    "rest_cannot_assign_term": (PermissionMissing, _MAY_NOT),
    "rest_cannot_assign_sticky": (PermissionMissing, _MAY_NOT),
    "rest_forbidden": (PermissionMissing, _MAY_NOT),
    "rest_forbidden_status": (PermissionMissing, _MAY_NOT),
    "rest_no_route": (NotFound, "Its REST API is switched off, or the site is not WordPress."),
    "rest_invalid_param": (InputError, "Correct the input that is named."),
    "rest_missing_callback_param": (InputError, "Fill in what is named."),
    "rest_invalid_featured_media": (InputError, "Give the id of a picture in the site's media library."),
    "rest_invalid_field": (InputError, "Correct the input that is named."),
    "empty_content": (InputError, "Give the post a title or a content."),
}
_FIELDS: Final[Mapping[str, str]] = {"rest_invalid_featured_media": "featured_media", "empty_content": "content"}
_UNKNOWN_PATH: Final = (
    "Check the site's address. With plain permalinks there is no REST API at that address: choose others under "
    "Settings, Permalinks."
)


async def call(http: StepHttp, method: str, path: str, **options: Any) -> Response:
    """Call a site and return its answer of success. Raises the error that an answer stands for.

    No redirect is followed: what leads to another host or from a POST to a GET would lose the password or the post.
    """
    response = await http.request(method, f"{ROOT}/{path}", follow_redirects=False, **options)
    if response.is_success:
        return response
    raise refusal(response)


def refusal(response: Response) -> IntegrationError:
    """Return the error of an answer outside 2xx."""
    if response.is_redirect:
        return _moved(response)
    said = error_of(response)
    code, text = str(said.get("code") or ""), html.unescape(str(said.get("message") or ""))
    message = f"WordPress: {text}"[:500] if text else ""
    if response.status_code >= 500 or response.status_code == 429:
        return response.error(message)
    kind, hint = ERRORS.get(code, (None, ""))
    if response.status_code == 401 and kind is not AuthError:
        # Nobody is signed in, whatever is forbidden to nobody.
        kind, hint = AuthError, _DROPPED
    if response.status_code == 404 and not hint:
        hint = _UNKNOWN_PATH
    error = response.error(message, kind=kind, hint=hint)
    if isinstance(error, InputError):
        error.field = _FIELDS.get(code) or _param_of(said)
    return error


def _moved(response: Response) -> IntegrationError:
    target = response.headers.get("location", "").partition(f"/{ROOT}")[0][:200]
    return response.error(
        _("%(host)s leads to another address.") % {"host": response.request.url.host},
        hint=_("Enter the address that it leads to as the credential's site: %(address)s") % {"address": target},
        kind=Permanent,
    )


def _param_of(said: Mapping[str, Any]) -> str | None:
    data = said.get("data")
    params = data.get("params") if isinstance(data, dict) else None
    return str(next(iter(params))) if isinstance(params, dict) and params else None


def error_of(response: Response) -> Mapping[str, Any]:
    """Return the site's own error, empty where the answer is of another form."""
    answer = response.said()
    return answer if isinstance(answer.get("code"), str) else {}


async def account(ctx: AuthContext) -> Account:
    """Ask who is signed in."""
    response = await call(ctx.http, "GET", "users/me")
    answer = response.json_object()
    if not isinstance(answer.get("id"), int):
        raise response.unexpected()
    host = urlsplit(str(ctx.settings.get("site") or "")).hostname or "WordPress"
    return Account(label=f"{html.unescape(str(answer.get('name') or answer['id']))} at {host}")
