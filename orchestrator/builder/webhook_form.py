"""The form of a webhook's settings: each as one sentence, with the fields that change it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop
from pydantic import ValidationError

from integrations.findings import findings
from orchestrator import jsongate
from orchestrator.builder.wrong import Wrong, told
from orchestrator.flow.webhooks import METHODS, PROVIDER, TYPES, WebhookConfig

if TYPE_CHECKING:
    from django.http import QueryDict

    from orchestrator.builder.board import Board

PRESETS: Final[Mapping[str, str]] = {
    "": noop("No signature is checked"),
    "standard_webhooks": noop("Standard Webhooks (Svix, Clerk, Resend and others)"),
    "github": noop("GitHub"),
    "stripe": noop("Stripe"),
    "slack": noop("Slack"),
    "hmac": noop("Another sender that signs with HMAC"),
    "bearer": noop("Bearer token"),
    "basic": noop("Name and password"),
}
ANSWERS: Final[Mapping[str, str]] = {
    "accepted": noop("At once, that it was accepted"),
    "output": noop("With the run's output, when it has ended"),
    "reply": noop("With words of its own"),
}
RAWS: Final[Mapping[str, str]] = {
    "": noop("Not kept"),
    "text": noop("As a text"),
    "base64": noop("As base64"),
}
ALGORITHMS: Final[Mapping[str, str]] = {
    "sha256": noop("SHA-256"),
    "sha1": noop("SHA-1"),
    "sha512": noop("SHA-512"),
}
ENCODINGS: Final[Mapping[str, str]] = {"hex": noop("Hexadecimal"), "base64": noop("Base64")}
_HMAC: Final = ("header", "algorithm", "encoding", "prefix", "timestamp_header", "tolerance")
_JSON: Final = "application/json"
_MOST: Final = 100_000  # characters of one field


@dataclass(frozen=True, kw_only=True)
class Secret:
    """A credential that signatures can be checked with."""

    name: str
    words: str


@dataclass(frozen=True, kw_only=True)
class WebhookForm:
    """``values`` are texts by the fields' names, ``errors`` what is wrong with them; ``said`` are the sentences."""

    methods: tuple[tuple[str, bool], ...]
    values: Mapping[str, str]
    errors: Mapping[str, str]
    said: Mapping[str, str]
    presets: tuple[tuple[str, str], ...]
    answers: tuple[tuple[str, str], ...]
    types: tuple[str, ...]
    algorithms: tuple[tuple[str, str], ...]
    encodings: tuple[tuple[str, str], ...]
    raws: tuple[tuple[str, str], ...]
    secrets: tuple[Secret, ...]
    new_secret_url: str


def webhook_form(
    board: Board,
    key: str,
    config: Mapping[str, Any],
    *,
    posted: QueryDict | None = None,
    errors: Mapping[str, str] = MappingProxyType({}),
) -> WebhookForm:
    """Return the form of a stored config, or of what was posted with what is wrong with it."""
    values = _values(config) if posted is None else {name: str(value)[:_MOST] for name, value in posted.items()}
    chosen = config.get("methods") if posted is None else posted.getlist("methods")
    rows = [row for row in board.credentials if row.provider == PROVIDER]
    query = {"provider": PROVIDER, "next": board.url("workflow-trigger", key)}
    return WebhookForm(
        methods=tuple((method, method in (chosen or ["POST"])) for method in METHODS),
        values=values,
        errors=errors,
        said=_said(config),
        presets=tuple((name, _(words)) for name, words in PRESETS.items()),
        answers=tuple((name, _(words)) for name, words in ANSWERS.items()),
        types=tuple(sorted(TYPES)),
        algorithms=tuple((name, _(words)) for name, words in ALGORITHMS.items()),
        encodings=tuple((name, _(words)) for name, words in ENCODINGS.items()),
        raws=tuple((name, _(words)) for name, words in RAWS.items()),
        secrets=tuple(Secret(name=row.name, words=row.get_auth_type_display()) for row in rows),
        new_secret_url=f"{reverse('credential-new', args=[board.tenant.slug])}?{urlencode(query)}",
    )


def _part(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = config.get(name)
    return found if isinstance(found, Mapping) else {}


def _values(config: Mapping[str, Any]) -> dict[str, str]:
    """Return a config as the texts of its fields; a draft's may be anything."""
    signature, reply = _part(config, "signature"), _part(config, "response")
    headers = {str(name): str(value) for name, value in _part(reply, "headers").items()}
    content_type = next((headers.pop(name) for name in list(headers) if name.lower() == "content-type"), "")
    body = reply.get("body")
    answer = config.get("response") or "accepted"
    return {
        "preset": str(signature.get("preset") or ""),
        "credential": str(signature.get("credential") or ""),
        **{name: _text(signature.get(name)) for name in _HMAC},
        "handshake": str(_part(config, "handshake").get("query") or ""),
        "answer": "reply" if reply else str(answer),
        "timeout": _text(config.get("timeout")),
        "status": _text(reply.get("status")),
        "content_type": content_type or (_JSON if reply and not isinstance(body, str) else "text/plain"),
        "headers": "\n".join(f"{name}: {value}" for name, value in headers.items()),
        "body": body if isinstance(body, str) else json.dumps(body, indent=2, ensure_ascii=False) if reply else "",
        "dedupe": _text(config.get("dedupe")),
        "filter": _text(config.get("filter")),
        "rate_limit": _text(config.get("rate_limit")),
        "raw": _text(config.get("raw")),
    }


def _text(value: Any) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _said(config: Mapping[str, Any]) -> dict[str, str]:
    """Return each setting as a sentence."""
    signature, reply = _part(config, "signature"), _part(config, "response")
    preset = str(signature.get("preset") or "")
    dedupe, keeps, limit = config.get("dedupe"), config.get("filter"), config.get("rate_limit")
    methods = config.get("methods")
    return {
        "signature": _("Requests prove who sent them: %(preset)s, with the secret %(name)s.")
        % {"preset": _(PRESETS.get(preset, preset)), "name": signature.get("credential") or "?"}
        if preset
        else _("No signature is checked: anyone who knows the address can start it."),
        "methods": _("Takes %(methods)s.")
        % {"methods": ", ".join(map(str, methods)) if isinstance(methods, list) and methods else "POST"},
        "answer": _("Answers %(status)s with words of its own.") % {"status": reply.get("status", 200)}
        if reply
        else _("Answers with the run's output, after %(seconds)s s at the latest.")
        % {"seconds": _text(config.get("timeout")) or "30"}
        if config.get("response") == "output"
        else _("Answers at once that the request was accepted."),
        "dedupe": _("A delivery counts once: told by %(what)s.") % {"what": dedupe}
        if dedupe
        else _("A delivery counts once where its sender gives it an id."),
        "filter": _("Starts a run only if %(condition)s.") % {"condition": keeps}
        if keeps
        else _("Every request starts a run."),
        "raw": _("Keeps the body as it came too.") if config.get("raw") else "",
        "limit": _("Takes at most %(count)s requests a minute.") % {"count": limit}
        if limit
        else _("Takes as many requests as come."),
    }


def config_from(posted: QueryDict, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config that a form says. What the form has no field for stays. Raises Wrong."""
    text = {name: str(value)[:_MOST].replace("\r\n", "\n").strip() for name, value in posted.items()}
    errors: dict[str, str] = {}
    config = dict(stored)
    if "methods" in text:
        config["methods"] = [method for method in METHODS if method in posted.getlist("methods")] or ["POST"]
    if "preset" in text:
        config["signature"] = _signature(text, errors)
    if "handshake" in text:
        config["handshake"] = {"query": text["handshake"]} if text["handshake"] else None
    if "answer" in text:
        config["response"] = _response(text, errors)
    config |= {name: text[name] or None for name in ("dedupe", "filter", "raw") if name in text}
    config |= {name: _number(text, name, errors) for name in ("timeout", "rate_limit") if name in text}
    # What is as it is anyway is not written: a version would differ by it from the one before.
    config = {
        name: value for name, value in config.items() if name in stored or value not in (None, "accepted", ["POST"])
    }
    config = {name: value for name, value in config.items() if value is not None or name == "signature"}
    try:
        WebhookConfig.model_validate(config)
    except ValidationError as error:
        for found in findings(error):
            errors.setdefault(_field_of(found["loc"]), told(found["msg"]))
    if errors:
        raise Wrong(errors)
    return config


def _field_of(where: tuple[int | str, ...]) -> str:
    """Return the name of the field that a part of the config came from."""
    parts = [str(part) for part in where]
    if parts[0] == "signature":
        return parts[1] if len(parts) > 1 else "preset"
    if parts[0] == "response":
        return next((part for part in ("status", "headers", "body") if part in parts), "answer")
    return parts[0]


def _number(text: Mapping[str, str], name: str, errors: dict[str, str]) -> int | float | None:
    given = text.get(name, "")
    if not given:
        return None
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", given):
        errors[name] = _("This is no number.")
        return None
    return float(given) if "." in given else int(given)


def _signature(text: Mapping[str, str], errors: dict[str, str]) -> dict[str, Any] | None:
    preset = text.get("preset", "")
    if not preset:
        return None
    found: dict[str, Any] = {"preset": preset, "credential": text.get("credential", "")}
    if not found["credential"]:
        errors["credential"] = _("Choose the secret that requests are checked with, or make one.")
    if preset == "hmac":
        found |= {
            name: text[name] for name in ("header", "algorithm", "encoding", "timestamp_header") if text.get(name)
        }
        found |= {"prefix": text["prefix"]} if text.get("prefix") else {}
    tolerance = _number(text, "tolerance", errors)
    return found | ({"tolerance": tolerance} if tolerance is not None else {})


def _response(text: Mapping[str, str], errors: dict[str, str]) -> Any:
    answer = text.get("answer") or "accepted"
    if answer != "reply":
        return answer
    headers = {"Content-Type": text.get("content_type") or _JSON, **_headers(text.get("headers", ""), errors)}
    status = _number(text, "status", errors)
    return {"status": 200 if status is None else status, "headers": headers, "body": _body(text, errors)}


def _headers(lines: str, errors: dict[str, str]) -> dict[str, str]:
    found = {}
    for line in lines.splitlines():
        name, colon, value = line.partition(":")
        if line.strip() and not colon:
            errors["headers"] = _("Write each header on a line of its own, as Name: value.")
        elif line.strip():
            found[name.strip()] = value.strip()
    return found


def _body(text: Mapping[str, str], errors: dict[str, str]) -> Any:
    """Return the body: JSON where that is what it is to be, unless it is one text with expressions."""
    written, kind = text.get("body", ""), text.get("content_type") or _JSON
    if kind != _JSON or re.fullmatch(r"\{\{.*\}\}", written, re.DOTALL):
        return written
    if not written:
        return None
    try:
        return jsongate.loads(written.encode())
    except jsongate.BadJSON as error:
        errors["body"] = _("This is no JSON: %(why)s.") % {"why": error}
        return None
