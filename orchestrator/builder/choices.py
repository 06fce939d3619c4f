"""What there is to choose from in a field: asked of the provider in the web process, soon, little, and few at once.

1. What was listed within the last minute is there already: for the same tenant, credential, field, search and inputs.
2. Else one of a few places is taken, or the person is told that all are; the provider is asked in a thread of its own,
   so that an integration that blocks holds that place and not the person's request.
3. What it answers is cut to what a page can show; what it raises becomes a sentence. Nothing here is ever a 5xx.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import unicodedata
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from integrations.registry import http_options, registry
from integrations.sdk import (
    Action,
    AuthError,
    InputError,
    IntegrationError,
    Option,
    Options,
    OptionsContext,
    OutcomeUnknown,
    PermissionMissing,
    RateLimited,
    Timeout,
    Transient,
)
from integrations.sdk.auth import AuthView
from integrations.sdk.status import MAX_RETRY_AFTER
from orchestrator.builder.agents import asking_action
from orchestrator.builder.aside import Places, again_in, asked
from orchestrator.builder.kept import Kept
from orchestrator.builder.readable import Line, Part
from orchestrator.builder.spoken import words_of
from orchestrator.builder.step_form import Field
from orchestrator.egress import egress_policy
from orchestrator.errors import Forbidden
from orchestrator.flow.definition import StepDefinition
from orchestrator.tenants.access import Actor
from orchestrator.tenants.models import Role
from orchestrator.tenants.permissions import require_operation
from orchestrator.vault.checks import use_noted
from orchestrator.vault.redaction import Redactor
from orchestrator.vault.renewal import fresh_credential
from orchestrator.vault.services import CredentialUnavailable, ResolvedCredential, SecretsUnreadable
from orchestrator.vault.sharing import usable_of_name
from runs.engine.turns import passing_on
from runs.look_gates import look_gate

if TYPE_CHECKING:
    from orchestrator.builder.board import Board

SECONDS: Final = 5.0
# What may be late beyond that: closing connections, a look-up of a name.
_GRACE: Final = 0.5
AT_ONCE: Final = 4
KEPT_SECONDS: Final = 60
# A label is only shown beside what is stored: an old one does little harm.
LABELS_KEPT_SECONDS: Final = 3600
MAX_ITEMS: Final = 200
MAX_VALUE: Final = 300
MAX_LABEL: Final = 150
MAX_CURSOR: Final = 2_000
MAX_BYTES: Final = 5_000_000
MAX_LABELS: Final = 1_000
_MAX_PART: Final = 300
# Kinds of field whose control is one line: what is chosen takes the place of what stands in it.
_TAKING: Final = ("text", "number")

_places: Final = Places(AT_ONCE)
_listed: Final[Kept[Choices]] = Kept(seconds=KEPT_SECONDS, size=64)
_labels: Final[Kept[Mapping[str, str]]] = Kept(seconds=LABELS_KEPT_SECONDS, size=64)


@dataclass(frozen=True, kw_only=True)
class Choices:
    """One page of choices, or the sentence why there is none and whether to ask again is of any use."""

    items: tuple[Option, ...] = ()
    next_cursor: str = ""
    error: str = ""
    again: bool = False


@dataclass(frozen=True, kw_only=True)
class _Question:
    """What is asked of an action's provider about its input ``name``, with a credential if the step has one."""

    action: Action
    name: str
    query: str
    cursor: str
    inputs: Mapping[str, Any]
    credential: ResolvedCredential | None
    tenant_id: int
    egress_allow: tuple[str, ...] = ()
    clean: Redactor = field(default_factory=Redactor)

    @property
    def place(self) -> tuple[Any, ...]:
        """Return where the labels belong: what differs between two credentials is never mixed."""
        return (self.credential.credential_id if self.credential else 0, self.action.key, self.name)

    @property
    def key(self) -> tuple[Any, ...]:
        found = self.credential
        text = json.dumps(self.inputs, sort_keys=True, default=str)
        digest = hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
        return (*self.place, found.secret_set_at if found else None, self.query, self.cursor, digest)


def offering(board: Board, step: StepDefinition, drawn: tuple[Field, ...], credential_id: int) -> tuple[Field, ...]:
    """Return the fields of a step, those whose choices its action lists with where, and what is stored by its label.

    An agent's are listed by what asks its model.
    """
    action = asking_action(step, registry.get(step.action))
    if action is None or not action.options:
        return drawn
    return tuple(
        _offered(board, step, action, each, credential_id)
        if each.name in action.options and each.kind in _TAKING
        else each
        for each in drawn
    )


def _offered(board: Board, step: StepDefinition, action: Action, drawn: Field, credential_id: int) -> Field:
    labels = _labels.get((board.tenant.pk, credential_id, action.key, drawn.name)) or {}
    label = labels.get(drawn.value, "")
    reads = drawn.reads or ((Line(name="", parts=(Part(text=label, is_value=True),)),) if label else ())
    url = board.url("workflow-step-options", step.key, drawn.name) if board.actor.may(Role.EDITOR) else ""
    return replace(drawn, choose_url=url, reads=reads)


def choices_of(*, actor: Actor, action: Action, step: StepDefinition, field: str, query: str, cursor: str) -> Choices:
    """Return one page of what ``field`` of a step can be, asked with the credential that the step has chosen."""
    require_operation(actor, "credential.check")
    try:
        credential = _credential(actor, action, step)
    except AuthError as error:
        return _refused(action, str(error), do=_("Choose a credential that fits in the step, then try again."))
    except CredentialUnavailable as error:
        return _refused(action, str(error), again=isinstance(error, SecretsUnreadable))
    except Forbidden as error:
        return _refused(action, error.message)
    question = _Question(
        action=action,
        name=field,
        query=query,
        cursor=cursor,
        # What stands in the field itself changes with every choice, and nothing to choose from depends on it.
        # Nor on the name of a secret.
        inputs={
            name: value
            for name, value in step.config.inputs.items()
            if name != field and name not in action.secret_inputs
        },
        credential=credential,
        tenant_id=actor.tenant.pk,
        egress_allow=tuple(actor.tenant.egress_allow or ()),
        clean=Redactor(credential.secrets if credential else ()),
    )
    # The tenant comes first: what one is told is never another's answer.
    key = (actor.tenant.pk, *question.key)
    found = _listed.get(key)
    if found is None:
        found = _answer(actor, question)
        if not found.error:
            _listed.put(key, found)
    _remember(actor, question, found)
    return found


def _credential(actor: Actor, action: Action, step: StepDefinition) -> ResolvedCredential | None:
    """Return the step's credential, opened. Raises AuthError where the action takes none like it."""
    if not step.credential:
        action.check_auth({})
        return None
    pk = usable_of_name(actor, step.credential)
    found = fresh_credential(tenant=actor.tenant, credential_id=pk, name=step.credential, is_use=False)
    action.check_auth(found.auth)
    return found


def _answer(actor: Actor, question: _Question) -> Choices:
    if not _places.take(question.tenant_id):
        busy = _("Too many lists are being asked for at this moment.")
        return _refused(question.action, busy, again=True)
    try:
        return _tidy(_asked(question), question.clean)
    except AuthError as error:
        _note_refusal(actor, question, error)
        return _explained(question, error)
    except Exception as error:
        return _explained(question, error)


def _asked(question: _Question) -> Options:
    """Ask in a thread, which gives its place back whenever it ends. Raises TimeoutError, and what the function does."""
    return asked(
        lambda: _ask(question),
        places=_places,
        tenant_id=question.tenant_id,
        name="choices",
        seconds=SECONDS + _GRACE,
    )


async def _ask(question: _Question) -> Options:
    # Late: aiohttp is several megabytes, which a web process without this button need not hold.
    from integrations.sdk.http import HttpPool

    credential = question.credential
    auth: Mapping[str, Any] = credential.auth if credential else {}
    options = http_options(question.action, auth, credential.settings if credential else {}, settings.ENV.base_urls)
    gate = look_gate(
        _counted_as(question.action),
        question.inputs,
        credential_id=credential.credential_id if credential else None,
        tenant_id=question.tenant_id,
    )
    pool = HttpPool(egress_policy())
    try:
        http = pool.client(
            **options,
            egress_allow=question.egress_allow,
            deadline=timezone.now() + timedelta(seconds=SECONDS),
            max_bytes=MAX_BYTES,
            secrets=credential.secrets if credential else (),
        )
        http.gate = gate
        context = OptionsContext(auth=AuthView(auth), http=http, inputs=question.inputs)
        function: Callable[..., Awaitable[Options]] = question.action.options[question.name]
        async with passing_on(gate), asyncio.timeout(SECONDS):
            return await function(context, question.query, question.cursor or None)
    finally:
        await pool.aclose()


def _counted_as(action: Action) -> Action:
    """Return the action as its lists are counted: a limit of its own is of its own requests, and not of these."""
    if action.rate_limit is action.provider.rate_limit:
        return action
    return replace(action, rate_limit=action.provider.rate_limit, rate_limit_key=None)


def _tidy(found: Options, clean: Redactor) -> Choices:
    """Return what a page can show and a field can take. Raises TypeError where a function gave something else.

    A value that reads as an expression is left out: whoever is at the other side must not write into a workflow what
    reads its data.
    """
    if not isinstance(found, Options) or not all(isinstance(each, Option) for each in found.items):
        raise TypeError("no Options")
    items = []
    for each in found.items[:MAX_ITEMS]:
        label, hint = (_shown(clean.text(str(text)))[:MAX_LABEL] for text in (each.label, each.hint))
        if _is_fit(each.value) and not clean.found_in(each.value):
            items.append(Option(each.value, label or each.value, hint))
    cursor = found.next_cursor or ""
    return Choices(items=tuple(items), next_cursor=cursor if _is_cursor(cursor) else "")


def _is_fit(value: object) -> bool:
    return (
        isinstance(value, str) and 0 < len(value) <= MAX_VALUE and "{{" not in value and value == _shown(value).strip()
    )


def _is_cursor(text: object) -> bool:
    return isinstance(text, str) and len(text) <= MAX_CURSOR and text == _shown(text)


def _shown(text: str) -> str:
    """Return a text without what no page can show: control characters and halves of surrogate pairs."""
    return "".join(sign for sign in text[: MAX_CURSOR + 1] if unicodedata.category(sign) not in ("Cc", "Cs"))


def _remember(actor: Actor, question: _Question, found: Choices) -> None:
    key = (actor.tenant.pk, *question.place)
    labels = {**(_labels.get(key) or {}), **{each.value: each.label for each in found.items}}
    if found.items:
        _labels.put(key, dict(list(labels.items())[-MAX_LABELS:]))


def _note_refusal(actor: Actor, question: _Question, error: AuthError) -> None:
    """Mark the credential as a test of it would: it was refused. A missing permission says nothing of the rest.

    Whoever answers a free address is no judge of it.
    """
    credential = question.credential
    if credential is None or question.action.any_provider:
        return
    use_noted(
        tenant_id=actor.tenant.pk,
        credential_id=credential.credential_id,
        secret_set_at=credential.secret_set_at,
        refused=question.clean.text(" ".join(str(part) for part in (error.message, error.hint) if part)),
    )


def _explained(question: _Question, error: Exception) -> Choices:
    """Return what an error means for who looks for a choice; a third party's text is redacted like any other."""
    if isinstance(error, IntegrationError):
        why = str(error.message)
    elif isinstance(error, TimeoutError):
        why = _("it gave no answer in time.")
    else:
        # Its text may hold anything, and tells a person nothing.
        why = _("the integration's list has a defect (%(error)s).") % {"error": type(error).__name__}
    again = isinstance(error, Transient | Timeout | OutcomeUnknown | TimeoutError)
    # Redacted before it is cut: half a secret would not be known as one.
    why, do = question.clean.text(why)[:_MAX_PART], question.clean.text(_advice(error))[:_MAX_PART]
    return _refused(question.action, why, again=again, when=_when(error), do=do)


def _when(error: Exception) -> str:
    seconds = getattr(error, "retry_after", None) if isinstance(error, RateLimited) else None
    # Whatever an integration writes there, infinity and "not a number" too.
    if not isinstance(seconds, int | float) or not 0 < seconds <= MAX_RETRY_AFTER:
        return ""
    return again_in(seconds)


def _advice(error: Exception) -> str:
    hint = getattr(error, "hint", "")
    if hint:
        return str(hint)
    match error:
        case AuthError():
            return _("Connect the account again or choose another credential.")
        case PermissionMissing():
            return _("Grant the credential what it lacks.")
        case InputError(field=str(name)):
            return _("Correct the field %(name)s.") % {"name": name}
        case InputError():
            return _("Correct what the step's other fields say.")
    return ""


def _refused(action: Action, why: str, *, again: bool = False, when: str = "", do: str = "") -> Choices:
    """Return an answer without choices: what failed and why, whether trying again helps, what to do."""
    what = _("The choices of %(provider)s cannot be shown: %(why)s") % {
        "provider": words_of(action).provider,
        "why": why,
    }
    what = what.rstrip()
    help_text = (when or _("Trying again may help.")) if again else _("Trying again alone does not help.")
    parts = [what if what.endswith((".", "!", "?")) else f"{what}.", help_text, do, _("You can also type the value.")]
    return Choices(error=_shown(" ".join(part for part in parts if part)), again=again)
