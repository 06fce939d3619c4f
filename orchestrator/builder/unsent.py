"""What a step would send, found out without sending it.

1. Its inputs are evaluated with the data that the draft is built with, and its credential is opened; nobody is asked
   for a newer one.
2. The action runs over a wire that keeps its first request and ends it there: in a thread of its own, for a few
   seconds at most, and few at once.
3. What goes wrong before that becomes a sentence. Nothing here is ever a 5xx.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from integrations.registry import http_options
from integrations.sdk import Action, AuthError, InputError, IntegrationError, RunContext
from integrations.sdk.auth import AuthView
from integrations.sdk.client import StepHttp
from integrations.sdk.context import StepLog
from integrations.sdk.holding import HeldRequest, HoldingWire
from integrations.sdk.state import MemoryStore
from orchestrator.builder.aside import Places, asked
from orchestrator.builder.board import Board
from orchestrator.builder.data import place_of
from orchestrator.builder.readable import fit
from orchestrator.builder.reads import scope_of
from orchestrator.errors import Forbidden
from orchestrator.flow.definition import StepDefinition
from orchestrator.flow.expressions import find_templates, render
from orchestrator.flow.items import ItemEvaluator
from orchestrator.flow.secret_inputs import is_value, referenced
from orchestrator.flow.values import ExpressionError
from orchestrator.tenants.permissions import require_operation
from orchestrator.vault.models import AuthType
from orchestrator.vault.redaction import Redactor
from orchestrator.vault.services import CredentialUnavailable, ResolvedCredential, resolve_credential
from orchestrator.vault.sharing import usable_of_name
from orchestrator.workflows.models import Variable
from runs.engine.records import idempotency_key

SECONDS: Final = 5.0
# What may be late beyond that: a thread that is waited for.
_GRACE: Final = 0.5
AT_ONCE: Final = 4
# The run that a test would be has no number yet.
NO_RUN: Final = "0"
_MAX_WHY: Final = 400

_places: Final = Places(AT_ONCE)


@dataclass(frozen=True, kw_only=True)
class Written:
    """A text with expressions of the step's input ``name``, and what it gives with the data at hand."""

    name: str
    text: str
    value: Any = field(repr=False)


@dataclass(kw_only=True)
class Unsent:
    """The first request of a step, or ``why`` there is none and what to ``do``.

    ``inputs`` are the step's own, evaluated, without those that are secrets, and ``written`` their texts with
    expressions. ``reads`` says that the call only reads; ``clean`` knows what is secret of it, ``key`` is in the place
    of the key that makes it safe to repeat.
    """

    request: HeldRequest | None = None
    why: str = ""
    do: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict, repr=False)
    written: tuple[Written, ...] = ()
    reads: bool = False
    credential: ResolvedCredential | None = None
    clean: Redactor = field(default_factory=Redactor)
    key: str = ""


@dataclass(frozen=True, kw_only=True)
class _Call:
    """A call that is about to be made: the step's action, what its expressions see, and what is opened for it.

    ``loops`` are those around the step, outermost first.
    """

    action: Action
    step: StepDefinition
    tenant_id: int
    egress_allow: tuple[str, ...]
    scope: Mapping[str, Any] = field(repr=False)
    loops: tuple[StepDefinition, ...]
    credential: ResolvedCredential | None
    secret_values: Mapping[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)


def unsent(board: Board, step: StepDefinition, action: Action) -> Unsent:
    """Return the first request that a step would send now. Raises Forbidden for who may not use credentials at all."""
    require_operation(board.actor, "credential.check")
    found = Unsent()
    try:
        call = _call(board, step, action)
    except (AuthError, InputError, CredentialUnavailable) as error:
        return _explained(found, error)
    except Forbidden as error:
        found.why = error.message
        return found
    found.credential, found.clean = call.credential, Redactor(call.secrets)
    if not _places.take(call.tenant_id):
        found.why = _("Too many requests are being looked at at this moment.")
        found.do = _("Try again in a moment.")
        return found
    try:
        asked(
            lambda: _held(call, found),
            places=_places,
            tenant_id=call.tenant_id,
            name="unsent",
            seconds=SECONDS + _GRACE,
        )
    except Exception as error:
        # Anew: a thread that nobody waits for any more may go on with what it has.
        return _explained(Unsent(credential=found.credential, clean=found.clean), error)
    if found.request is None:
        found.why = _("With this data it ended without a request.")
    return found


def _call(board: Board, step: StepDefinition, action: Action) -> _Call:
    """Return the call with all that it opens. Raises AuthError, InputError, CredentialUnavailable and Forbidden."""
    place = place_of(board.definition.steps, step.key)
    credential = _opened(board, step.credential) if step.credential else None
    action.check_auth(credential.auth if credential else {})
    values: dict[str, str] = {}
    secrets = [*(credential.secrets if credential else ())]
    for name in action.secret_inputs:
        if (held := step.config.inputs.get(name)) is not None:
            chosen = referenced(held)
            if not chosen:
                raise InputError(_("%(name)s: a secret is not written into a step.") % {"name": name}, field=name)
            found = _opened(board, chosen)
            secrets += found.secrets
            if not is_value(found.provider, found.auth_type):
                raise AuthError(_("%(name)r is a credential for another use, not a secret.") % {"name": chosen})
            values[name] = str(found.auth["api_key"])
    return _Call(
        action=action,
        step=step,
        tenant_id=board.tenant.pk,
        egress_allow=tuple(board.tenant.egress_allow or ()),
        scope=_scope(board, step),
        loops=place.loops if place else (),
        credential=credential,
        secret_values=values,
        secrets=tuple(secrets),
    )


def _opened(board: Board, name: str) -> ResolvedCredential:
    """Open a credential as it is. A token that has run out is not renewed: that would ask its provider."""
    pk = usable_of_name(board.actor, name)
    found = resolve_credential(tenant_id=board.tenant.pk, credential_id=pk, name=name, is_use=False)
    if found.auth_type == AuthType.OAUTH2 and not found.auth.get("access_token"):
        raise CredentialUnavailable(
            _("The credential %(name)r has no token yet: its first use fetches one. Test the step, then look again.")
            % {"name": name}
        )
    return found


def _scope(board: Board, step: StepDefinition) -> dict[str, Any]:
    variables = dict(Variable.objects.for_tenant(board.tenant).values_list("key", "value"))
    run = {"id": NO_RUN, "url": "", "started_at": timezone.now().isoformat(), "kind": "step", "links": {}}
    return {**scope_of(board, step.key), "vars": variables, "run": run}


async def _held(call: _Call, found: Unsent) -> None:
    """Make the call up to its first request, and note in ``found`` all that is known of it by then."""
    action, written = call.action, call.step.config.inputs
    evaluated = {name: value for name, value in written.items() if name not in action.as_written}
    scope = _inside(call.loops, call.scope)
    found.inputs = render(evaluated, scope)
    found.written = tuple(_written(evaluated, scope))
    inputs = action.validate_inputs({**written, **found.inputs, **call.secret_values})
    found.reads = action.reads(inputs)
    wire = HoldingWire()
    auth = call.credential.auth if call.credential else {}
    site = call.credential.settings if call.credential else {}
    found.key = idempotency_key(int(NO_RUN), call.step.key)
    options = http_options(action, auth, site, settings.ENV.base_urls)
    options["authorize"] = wire.keeping(options["authorize"])
    deadline = timezone.now() + timedelta(seconds=SECONDS)
    client = StepHttp(
        wire=wire,
        **options,
        egress_allow=call.egress_allow,
        deadline=deadline,
        idempotency_key=found.key,
        idempotency_header=action.idempotency_header,
        secrets=call.secrets,
    )
    context = RunContext(
        inputs=inputs,
        auth=AuthView(auth),
        client=lambda: client,
        log=StepLog(),
        tenant_id=str(call.tenant_id),
        run_id=NO_RUN,
        step_key=call.step.key,
        attempt=1,
        idempotency_key=found.key,
        deadline=deadline,
        evaluator=ItemEvaluator(written, scope) if action.per_item else None,
        settings=site,
        store=MemoryStore,
    )
    try:
        async with asyncio.timeout(SECONDS):
            await action.run(context)
    except BaseException:
        # However the action ended after its first request: that is what was asked for.
        if wire.held is None:
            raise
    found.request = wire.held


def _inside(loops: Sequence[StepDefinition], scope: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what is seen inside of loops: a test takes the first item, as far as there is one by now."""
    for loop in loops:
        try:
            items = render(loop.config.inputs.get("items"), scope)
        except ExpressionError:
            return scope
        if isinstance(items, list) and items:
            scope = {**scope, "item": items[0], "index": 0}
    return scope


def _written(inputs: Mapping[str, Any], scope: Mapping[str, Any]) -> Iterator[Written]:
    for name, value in inputs.items():
        for _path, text in find_templates(value):
            yield Written(name=name, text=text, value=render(text, scope))


def _explained(found: Unsent, error: Exception) -> Unsent:
    """Note what an error means for who looks; a third party's text is redacted like any other."""
    if isinstance(error, ExpressionError):
        where = getattr(error, "where", "")
        why, do = f"{where}: {error}" if where else str(error), _("Correct the step, or run the steps before it.")
    elif isinstance(error, IntegrationError):
        why, do = str(error.message), str(error.hint)
    elif isinstance(error, CredentialUnavailable):
        why, do = str(error), ""
    elif isinstance(error, TimeoutError):
        why, do = _("It came to no request in time."), _("Trying again may help.")
    else:
        # Its text may hold anything, and tells a person nothing.
        why = _("The integration has a defect (%(error)s).") % {"error": type(error).__name__}
        do = _("Trying again alone does not help: tell whoever maintains it.")
    # Redacted before it is cut: half a secret would not be known as one.
    found.why, found.do = (fit(_ended(found.clean.text(text)), _MAX_WHY) for text in (why, do))
    return found


def _ended(text: str) -> str:
    """Return a text as a sentence, which others may follow."""
    return text if not text or text.endswith((".", "!", "?", "…")) else f"{text}."
