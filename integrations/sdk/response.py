"""An answered request: httpx's response, made of a whole answer, whose errors are classified and hold no secret."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from integrations.sdk import charsets, status
from integrations.sdk.decoding import decoded_headers
from integrations.sdk.errors import IntegrationError, Permanent
from integrations.words import gettext as _

ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: status, headers as received, and the decoded body."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes
    reason: str = ""


class Response(httpx.Response):
    """An answered request, whatever its status, its body read and decoded. Its request carries no credential."""

    _hide: Callable[[str], str] = staticmethod(str)

    @classmethod
    def of(cls, answer: Answer, request: httpx.Request) -> Self:
        """Return the response for an answer that is there in whole: httpx would take its body for a stream to read."""
        headers = decoded_headers(answer.headers)
        response = cls(
            answer.status,
            headers=headers,
            stream=_READ,
            request=request,
            extensions={"reason_phrase": answer.reason.encode("ascii", "replace")} if answer.reason else None,
        )
        if all(name.isascii() and value.isascii() for name, value in headers):
            # Else it finds out by decoding each of them.
            response.headers.encoding = "ascii"
        if answer.body:
            response.headers.setdefault("Content-Length", str(len(answer.body)))
        response._content = answer.body
        response.is_closed = response.is_stream_consumed = True
        return response

    @property
    def charset_encoding(self) -> str | None:
        named = super().charset_encoding
        return None if named and charsets.is_for_names(named) else named

    def raise_for_status(self) -> Self:
        """Return the response, or raise the classified error of a status outside 2xx."""
        if not self.is_success:
            raise self.error()
        return self

    def error(
        self,
        message: str = "",
        *,
        hint: str = "",
        detail: str = "",
        kind: type[IntegrationError] | None = None,
        pause: float | None = None,
    ) -> IntegrationError:
        """Return the classified error, with the provider's own message where given and no secret in it.

        ``pause`` is in seconds, where the provider says in the body how long to wait, and not in a header.
        """
        error = status.error_for(self, message, hint=hint, detail=detail, kind=kind, pause=pause)
        error.message, error.hint, error.detail = map(self._hide, (error.message, error.hint, error.detail))
        error.args = (error.message,)
        return error

    def json(self, **kwargs: Any) -> Any:
        """Return the body as JSON. Raises Permanent when it is none: HTML from a proxy, NaN, bottomless nesting."""
        try:
            if not kwargs:
                return from_json(self.content, allow_inf_nan=False, cache_strings="keys")
        except ValueError:
            # The standard library takes more, half a surrogate pair for one.
            pass
        try:
            return jsonlib.loads(self.content, parse_constant=_refuse_constant, **kwargs)
        except (ValueError, RecursionError):
            raise self.error(
                _("%(host)s sent an answer that is not JSON.") % {"host": status.host_of(self)}, kind=Permanent
            ) from None

    def json_object(self) -> dict[str, Any]:
        """Return the body as a JSON object. Raises Permanent when it is something else."""
        value = self.json()
        if not isinstance(value, dict):
            raise self.unexpected()
        return value

    def said(self, name: str = "") -> Mapping[str, Any]:
        """Return the JSON object of the body, or the one under ``name`` in it; empty where there is none.

        It is for what a refusal says: that may come from a proxy, and be anything.
        """
        try:
            value = self.json_object()
        except IntegrationError:
            return {}
        inner = value.get(name) if name else value
        return inner if isinstance(inner, dict) else {}

    def parsed(self, model: type[ModelT]) -> ModelT:
        """Return the body as a pydantic model. Raises Permanent when it does not fit."""
        value = self.json()
        try:
            return model.model_validate(value)
        except ValidationError:
            raise self.unexpected() from None

    def unexpected(self) -> IntegrationError:
        """Return the error of an answer that lacks what its description promises."""
        return self.error(
            _("%(host)s sent an answer of an unexpected form.") % {"host": status.host_of(self)}, kind=Permanent
        )

    def __repr__(self) -> str:
        return f"<Response {self.status_code} from {status.host_of(self)}>"


# What a response is given as its stream when nothing is left to be read.
_READ: Final = httpx.ByteStream(b"")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)
