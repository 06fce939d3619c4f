"""One shape for every error: ``{"error": {"code", "message", "problems": [{"path", "message", "code"}]}}``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop
from pydantic import BaseModel, ValidationError
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler

from integrations.findings import findings
from orchestrator.api.parsers import BodyTooLarge
from orchestrator.errors import Invalid, Limited, Problem, ServiceError

_M = TypeVar("_M", bound=BaseModel)

# DRF's own errors, in words that say what to do.
_MESSAGES: dict[type[exceptions.APIException], tuple[str, str]] = {
    exceptions.NotAuthenticated: (
        "unauthenticated",
        noop("No valid credentials were sent. Send `Authorization: Bearer <token>`, or sign in and send `X-Tenant`."),
    ),
    exceptions.MethodNotAllowed: ("method_not_allowed", ""),
    exceptions.UnsupportedMediaType: (
        "unsupported_media_type",
        noop("Send JSON, with `Content-Type: application/json`."),
    ),
    exceptions.NotAcceptable: ("not_acceptable", noop("Only JSON is answered here; accept `application/json`.")),
}


def error_body(code: str, message: str, problems: Sequence[Problem] = ()) -> dict[str, Any]:
    """Return the body of an error answer."""
    return {"error": {"code": code, "message": message, "problems": [problem.as_dict() for problem in problems]}}


def exception_handler(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """Turn what a view raised into the one shape; None leaves a defect of ours to Django."""
    if isinstance(error, ServiceError):
        body = error_body(error.code, error.message, error.problems)
        return Response(body, status=error.status, headers=_limits(error))
    if isinstance(error, Http404):
        return Response(
            error_body("not_found", _("There is nothing here by that id.")), status=status.HTTP_404_NOT_FOUND
        )
    if isinstance(error, PermissionDenied):
        return Response(
            error_body("forbidden", str(error) or _("You may not do that.")), status=status.HTTP_403_FORBIDDEN
        )
    if isinstance(error, RequestDataTooBig):
        # Django's own limit, where something read the body before the parser did.
        error = BodyTooLarge()
    response = drf_exception_handler(error, dict(context))
    if response is None or not isinstance(error, exceptions.APIException):
        return response
    code, message = _MESSAGES.get(type(error), (_code_of(error), ""))
    response.data = error_body(
        code, _(message) if message else _text_of(error.detail), list(_problems_of(error.detail, ""))
    )
    return response


def parse_body(model: type[_M], data: Any) -> _M:
    """Validate a request body. Raises Invalid with one problem for each wrong value."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise Invalid(_("The request body is not valid."), problems=list(pydantic_problems(error))) from error


def pydantic_problems(error: ValidationError, prefix: str = "") -> Iterator[Problem]:
    """Yield a problem for each finding, with paths like ``steps[0].config.retry.delay``; values are not repeated."""
    for finding in findings(error):
        path = prefix
        for part in finding["loc"]:
            path += f"[{part}]" if isinstance(part, int) else (f".{part}" if path else str(part))
        yield Problem(path=path, message=finding["msg"], code=finding["type"])


def _limits(error: ServiceError) -> dict[str, str]:
    """Return the headers that tell a caller when to try again."""
    if not isinstance(error, Limited):
        return {}
    return {
        "Retry-After": str(error.retry_after),
        "X-RateLimit-Limit": str(error.limit),
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(error.retry_after),
    }


def _code_of(error: exceptions.APIException) -> str:
    codes = error.get_codes()
    return codes if isinstance(codes, str) else error.default_code


def _text_of(detail: Any) -> str:
    return str(detail) if isinstance(detail, str) else _("The request is not valid.")


def _problems_of(detail: Any, path: str) -> Iterator[Problem]:
    """Flatten DRF's nested validation details."""
    if isinstance(detail, Mapping):
        for key, value in detail.items():
            yield from _problems_of(value, f"{path}.{key}" if path else str(key))
    elif isinstance(detail, list):
        for value in detail:
            yield from _problems_of(value, path)
    elif path:
        yield Problem(path=path, message=str(detail), code=getattr(detail, "code", "invalid"))
