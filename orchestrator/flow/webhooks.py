"""What a webhook's config may say: who may call, what counts as the same delivery, and what the caller gets. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Discriminator, Field, JsonValue, StringConstraints, Tag

from integrations.words import credential_words
from integrations.words import gettext as _
from orchestrator.errors import Problem
from orchestrator.flow.compiler import Reference
from orchestrator.flow.credentials import unshared
from orchestrator.flow.expressions import compile_template, find_templates
from orchestrator.flow.facts import CredentialFacts
from orchestrator.flow.items import as_template
from orchestrator.flow.scoping import TRIGGER_NAMES, WORKFLOW_NAMES
from orchestrator.flow.telling import close, compiled, error, unknown, warning

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
PROVIDER: Final = "webhook"  # of the credentials that signatures are checked with
AUTH_TYPE: Final[Mapping[str, str]] = {"bearer": "bearer_token", "basic": "basic"}  # of a preset; api_key of the rest
MAX_WAIT: Final = 60.0
# A header by its name, as opposed to an expression.
HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")

# What the content of an answer may be: nothing that a browser would run on the product's own origin.
TYPES: Final = frozenset(
    {"application/json", "text/plain", "text/csv", "application/x-ndjson", "application/octet-stream"}
)
# Headers that an answer may set, besides X-…; all others would act on the browser, the connection or the product.
HEADERS: Final = frozenset(
    {
        "content-type", "content-disposition", "content-language", "cache-control", "etag", "last-modified",
        "retry-after", "vary", "access-control-allow-origin", "access-control-allow-headers",
        "access-control-allow-methods", "access-control-max-age",
    }
)  # fmt: skip
_NOT_X: Final = ("x-content-type-options", "x-frame-options", "x-request-id", "x-accel-", "x-sendfile", "x-xss-")
# What is read before there is a run; an answer also knows the run, and its steps once it has ended.
_ROOTS: Final = ("trigger", "workflow", "vars")
_REPLY_ROOTS: Final = (*_ROOTS, "steps", "run")
_RUN_NAMES: Final = ("id",)

# Judges a reference to a step where all of them have run: its problem at a path, or None.
JudgeStep: TypeAlias = Callable[[Reference, str], Problem | None]

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
HeaderName = Annotated[str, StringConstraints(pattern=rf"^{HEADER_NAME.pattern}$")]


class Signature(BaseModel):
    """How a request proves who sent it. ``credential`` names the secret; the rest belongs to ``hmac`` alone.

    ``tolerance`` is in seconds: how far a signed time may be from ours.
    """

    model_config = ConfigDict(extra="forbid")

    preset: Literal["standard_webhooks", "github", "stripe", "slack", "hmac", "bearer", "basic"]
    credential: Name
    header: HeaderName = "X-Signature"
    algorithm: Literal["sha1", "sha256", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = Field("", max_length=50)
    timestamp_header: HeaderName | None = None
    tolerance: int = Field(300, ge=1, le=86_400)


class Reply(BaseModel):
    """An answer of the workflow's own. Texts may hold expressions; one that reads ``steps`` waits for the run."""

    model_config = ConfigDict(extra="forbid")

    status: int = Field(200, ge=200, le=499)
    headers: dict[HeaderName, str] = Field(default_factory=dict, max_length=30)
    body: JsonValue = None


class Handshake(BaseModel):
    """``query`` names the parameter that a sender wants to have back, as plain text, before it sends anything."""

    model_config = ConfigDict(extra="forbid")

    query: Name


def _which(value: Any) -> str:
    return REPLY if isinstance(value, (Mapping, Reply)) else WORD


# Of the two forms of a response; they stand in no path of a problem.
WORD: Final = "word"
REPLY: Final = "reply"
Response = Annotated[
    Annotated[Literal["accepted", "output"], Tag(WORD)] | Annotated[Reply, Tag(REPLY)], Discriminator(_which)
]


class WebhookConfig(BaseModel):
    """``methods`` that are taken; ``response`` is what the caller gets, ``timeout`` for how many seconds it may wait.

    ``dedupe`` is a header's name or an expression, ``filter`` a condition, both over ``trigger``; ``rate_limit`` how
    many runs may be started in a minute; ``raw`` keeps the body as it came too, as ``trigger.raw``.
    """

    model_config = ConfigDict(extra="forbid")

    methods: list[Literal["GET", "POST", "PUT", "PATCH", "DELETE"]] = Field(["POST"], min_length=1)
    response: Response = "accepted"
    timeout: float = Field(30.0, gt=0, le=MAX_WAIT, allow_inf_nan=False)
    signature: Signature | None = None
    handshake: Handshake | None = None
    dedupe: str | None = Field(None, min_length=1, max_length=10_000)
    filter: str | None = Field(None, min_length=1, max_length=10_000)
    rate_limit: int | None = Field(None, ge=1, le=1_000_000)
    raw: Literal["text", "base64"] | None = None


def webhook_problems(
    path: str,
    config: WebhookConfig,
    *,
    credentials: Mapping[str, CredentialFacts],
    variables: Sequence[str],
    step: JudgeStep,
) -> Iterator[Problem]:
    """Yield what is wrong with a webhook's config beyond its shape; ``path`` is the config's."""
    if config.signature is None:
        message = _("Anyone who knows this address can start the workflow: no signature is checked.")
        yield warning(f"{path}.signature", message, "webhook_unprotected")
    else:
        yield from _signature(f"{path}.signature", config.signature, credentials)
    if config.dedupe is not None and not HEADER_NAME.fullmatch(config.dedupe):
        yield from _over_trigger(f"{path}.dedupe", config.dedupe, variables)
    if config.filter is not None:
        yield from _over_trigger(f"{path}.filter", as_template(config.filter), variables, wanted="boolean")
    if isinstance(config.response, Reply):
        yield from _reply(f"{path}.response", config.response, variables, step)


def waits(response: Reply) -> bool:
    """Whether an answer needs what the run gives. Raises ExpressionError for a text that is none."""
    return any(
        reference.root == "steps"
        for _path, text in find_templates({"headers": response.headers, "body": response.body})
        for reference in compile_template(text).references
    )


def header_refusal(name: str) -> str:
    """Return why an answer may not set a header, or nothing."""
    lower = name.lower()
    if lower in HEADERS or (lower.startswith("x-") and not lower.startswith(_NOT_X)):
        return ""
    return _("An answer may not set %(name)s. It may set X-… and %(known)s.") % {
        "name": name,
        "known": ", ".join(sorted(HEADERS)),
    }


def type_refusal(value: str) -> str:
    """Return why an answer's content may not be of a type, or nothing."""
    kind = value.partition(";")[0].strip().lower()
    if kind in TYPES or re.fullmatch(r"application/[a-z0-9.-]+\+json", kind):
        return ""
    return _("An answer may not be %(kind)s: a browser might run it. It may be %(known)s.") % {
        "kind": kind or _("of no type"),
        "known": ", ".join(sorted(TYPES)),
    }


def _signature(path: str, signature: Signature, credentials: Mapping[str, CredentialFacts]) -> Iterator[Problem]:
    where, wanted = f"{path}.credential", AUTH_TYPE.get(signature.preset, "api_key")
    known = credentials.get(signature.credential)
    if known is None:
        hint = close(signature.credential, list(credentials))
        yield error(
            where,
            _("There is no credential %(credential)r.%(hint)s") % {"credential": signature.credential, "hint": hint},
            "credential_unknown",
        )
    elif known.provider != PROVIDER:
        message = _("This credential is for %(provider)s. A signature is checked with one of the provider webhook.") % {
            "provider": known.provider
        }
        yield error(where, message, "credential_provider")
    elif known.auth_type != wanted:
        message = _("%(preset)s requires %(wanted)s; this is %(auth_type)s.") % {
            "preset": signature.preset,
            "wanted": _("a signing secret") if wanted == "api_key" else credential_words([wanted]),
            "auth_type": _("a signing secret") if known.auth_type == "api_key" else credential_words([known.auth_type]),
        }
        yield error(where, message, "credential_type")
    elif not known.is_shared:
        yield error(where, unshared(signature.credential), "credential_unshared")


def _reply(path: str, reply: Reply, variables: Sequence[str], step: JudgeStep) -> Iterator[Problem]:
    for name, value in reply.headers.items():
        where = f"{path}.headers.{name}"
        if refusal := header_refusal(name):
            yield error(where, refusal, "header")
        elif name.lower() == "content-type":
            if "{{" in value:
                yield error(where, _("The type of an answer is fixed: it takes no expression."), "header")
            elif refusal := type_refusal(value):
                yield error(where, refusal, "content_type")
        elif not value.isprintable():
            yield error(where, _("A header is one line of visible characters."), "header")
    for where, text in find_templates({"headers": reply.headers, "body": reply.body}, path):
        template, problem = compiled(text, where)
        if problem:
            yield problem
        for reference in template.references if template else ():
            judged = step if reference.root == "steps" and reference.parts else None
            found = judged(reference, where) if judged else _unknown(reference, where, _REPLY_ROOTS, variables)
            if found:
                yield found


def _over_trigger(where: str, text: str, variables: Sequence[str], *, wanted: str = "") -> Iterator[Problem]:
    """Check an expression that is evaluated before there is a run."""
    template, problem = compiled(text, where)
    if problem:
        yield problem
    if template is None:
        return
    if template.is_constant:
        yield error(where, _("This is no expression: it is the same for every request."), "expression")
        return
    for reference in template.references:
        found = _unknown(reference, where, _ROOTS, variables)
        if found:
            yield found
    if wanted and template.gives not in (None, wanted):
        yield error(where, _("A condition gives true or false."), "type")


def _unknown(reference: Reference, where: str, roots: Sequence[str], variables: Sequence[str]) -> Problem | None:
    if reference.root not in roots:
        return unknown(reference, where, reference.root, roots, "")
    names: Mapping[str, Sequence[str]] = {
        "trigger": TRIGGER_NAMES, "run": _RUN_NAMES, "workflow": WORKFLOW_NAMES, "vars": variables
    }  # fmt: skip
    known, first = names.get(reference.root), str(reference.parts[0]) if reference.parts else ""
    if known is None or not first or first in known or reference.tolerant:
        return None
    return unknown(reference, where, first, known, f"{reference.root}.")


def config_of(config: Mapping[str, Any]) -> WebhookConfig:
    """Return a stored config. Raises ValidationError for one that was never checked."""
    return WebhookConfig.model_validate(config)
