"""What a webhook's own config asks of a request before it becomes a run: signature, filter, sameness, rate."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop

from orchestrator.flow.expressions import ExpressionError, compile_template, evaluate_condition
from orchestrator.flow.webhooks import HEADER_NAME, WebhookConfig
from orchestrator.types import JSONValue
from orchestrator.vault.services import CredentialUnavailable, ResolvedCredential, resolve_credential
from orchestrator.workflows.models import Variable, Workflow, WorkflowVersion
from runs.rates import Rate, rate_of
from runs.triggers.accepting import RETRY_AFTER
from runs.triggers.addresses import Address
from runs.triggers.requests import BadRequest, query_of
from runs.triggers.signatures import BadSignature, delivery_of, verify

# The names by which those are called to sign in who ask with them.
_SCHEMES: Final[Mapping[str, str]] = {"bearer": "Bearer", "basic": 'Basic realm="webhook", charset="UTF-8"'}
MAX_DEDUPE: Final = 10_000
MAX_ECHO: Final = 1_000
_ECHO: Final = re.compile(rf"[\x21-\x7e]{{1,{MAX_ECHO}}}")


_UNVERIFIABLE: Final = noop(
    "The secret that signatures are checked with cannot be read, so nothing was kept. Send the request again later; "
    "somebody of the tenant has to look at the credential."
)


class Unverifiable(BadRequest):
    """Nobody can tell now whether the request is genuine, for want of the secret; nothing was kept."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or _(_UNVERIFIABLE), code="unverifiable", status=503, headers=RETRY_AFTER)


class Unsigned(BadRequest):
    """The request does not prove who sent it; ``scheme`` names how it could."""

    def __init__(self, error: BadSignature, scheme: str) -> None:
        super().__init__(error.message, code=error.code, status=401, headers={"WWW-Authenticate": scheme})


class Limited(BadRequest):
    """More runs than may be started in a minute."""

    def __init__(self, said: str, rate: Rate) -> None:
        super().__init__(
            _("%(said)s Send this one again in %(seconds)s s.") % {"said": said, "seconds": rate.reset},
            code="rate_limited",
            status=429,
            headers={"Retry-After": str(rate.reset)},
        )


def check_signature(address: Address, config: WebhookConfig, environ: Mapping[str, Any], body: bytes) -> None:
    """Refuse a request that its sender did not sign as the config asks. Raises Unsigned, Unverifiable."""
    if config.signature is None:
        return
    secret = _secret(address, config.signature.credential)
    try:
        verify(config.signature, secret.auth, environ=environ, body=body, now=time.time())
    except BadSignature as error:
        raise Unsigned(error, _SCHEMES.get(config.signature.preset, "Signature")) from None
    except KeyError:
        # The credential was replaced by one of another kind since the workflow was published.
        raise Unverifiable from None


def _secret(address: Address, name: str) -> ResolvedCredential:
    versions = WorkflowVersion.objects.for_tenant(address.tenant_id).filter(pk=address.version_id or 0)
    bindings = versions.values_list("bindings", flat=True).first() or {}
    try:
        return resolve_credential(tenant_id=address.tenant_id, credential_id=bindings.get(name), name=name)
    except CredentialUnavailable as error:
        raise Unverifiable from error


def echo(config: WebhookConfig, environ: Mapping[str, Any]) -> str | None:
    """Return what a sender wants to have back before it sends anything, or None. Raises BadRequest."""
    wanted = query_of(environ).get(config.handshake.query) if config.handshake else None
    return wanted if isinstance(wanted, str) and _ECHO.fullmatch(wanted) else None


def handshake(config: WebhookConfig, document: Mapping[str, JSONValue]) -> dict[str, JSONValue] | None:
    """Return the answer to a preset's own first request, which starts nothing; None for every other one."""
    preset, body = config.signature.preset if config.signature else "", document["body"]
    if preset == "slack" and isinstance(body, dict) and body.get("type") == "url_verification":
        return {"challenge": body.get("challenge")}
    headers = document["headers"]
    if preset == "github" and isinstance(headers, dict) and headers.get("x-github-event") == "ping":
        return {"status": "ignored", "reason": _("This was GitHub's ping. The webhook works.")}
    return None


def ignored(address: Address, config: WebhookConfig, document: Mapping[str, JSONValue]) -> str:
    """Return why the filter drops a request, or nothing."""
    if config.filter is None:
        return ""
    try:
        met = evaluate_condition(config.filter, scope_of(address, document, config.filter))
    except ExpressionError as error:
        return _("The filter could not be evaluated on this request: %(message)s") % {"message": error.message}
    return "" if met else _("The filter of this webhook does not let this request through.")


def delivery(
    address: Address, config: WebhookConfig, environ: Mapping[str, Any], document: Mapping[str, JSONValue]
) -> str | None:
    """Return what makes a request the same as an earlier one, or None. Raises BadRequest where it cannot be told."""
    wanted = config.dedupe
    if wanted is None:
        preset = (
            delivery_of(config.signature.preset, environ=environ, body=document["body"]) if config.signature else ""
        )
        return preset or environ.get("HTTP_IDEMPOTENCY_KEY")
    if HEADER_NAME.fullmatch(wanted):
        return environ.get(f"HTTP_{wanted.upper().replace('-', '_')}") or None
    try:
        value = compile_template(wanted).evaluate(scope_of(address, document, wanted))
    except ExpressionError as error:
        raise BadRequest(
            _("What tells this delivery from others is not in it: %(message)s") % {"message": error.message},
            code="dedupe",
        ) from None
    return None if value is None else str(value)[:MAX_DEDUPE]


def check_rate(address: Address, limit: int | None) -> None:
    """Refuse what comes too fast for the trigger, whose own limit this is, or for its tenant. Raises Limited."""
    if limit is not None:
        rate = rate_of(address.tenant_id, limit, workflow=address.workflow_id, trigger_key=address.key)
        if rate.remaining <= 0:
            raise Limited(_("No more than %(limit)s a minute are taken here.") % {"limit": f"{limit:,}"}, rate)
    if address.tenant_limit is not None:
        rate = rate_of(address.tenant_id, address.tenant_limit)
        if rate.remaining <= 0:
            raise Limited(
                _("%(limit)s runs a minute is all that may be started here.") % {"limit": f"{rate.limit:,}"}, rate
            )


def scope_of(address: Address, document: Mapping[str, JSONValue], text: str) -> dict[str, Any]:
    """Return what an expression of a webhook's config may read. Variables cost a query, so only where they are read."""
    scope: dict[str, Any] = {"trigger": document}
    roots = {reference.root for reference in compile_template(text if "{{" in text else f"{{{{ {text} }}}}").references}
    if "vars" in roots:
        rows = Variable.objects.for_tenant(address.tenant_id)
        scope["vars"] = dict(rows.values_list("key", "value"))
    if "workflow" in roots:
        row = Workflow.objects.for_tenant(address.tenant_id).filter(pk=address.workflow_id)
        found: Mapping[str, Any] = row.values("name", "slug", "published_version__number").first() or {}
        scope["workflow"] = {
            "id": str(address.workflow_id),
            "name": found.get("name"),
            "slug": found.get("slug"),
            "version": found.get("published_version__number"),
        }
    return scope
