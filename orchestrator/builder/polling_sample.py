"""A look at what a trigger would find, for who builds with it: asked in the web process, soon, little, few at once.

Nothing is started and no cursor is moved; the newest items are kept as examples. As with lists of choices, a place is
taken or the person is told that all are, and what is raised becomes a sentence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from pydantic import ValidationError

from integrations.registry import registry
from integrations.sdk import AuthError, IntegrationError, Item, PollingTrigger
from integrations.sdk.limits import NotYet, TooLate
from orchestrator import jsongate
from orchestrator.builder.aside import Places, again_in, asked
from orchestrator.builder.spoken import words_of
from orchestrator.egress import egress_policy
from orchestrator.errors import Invalid
from orchestrator.flow.polling import PollingConfig, config_of
from orchestrator.tenants import audit
from orchestrator.tenants.access import Actor
from orchestrator.tenants.permissions import require_operation
from orchestrator.vault.checks import use_noted
from orchestrator.vault.redaction import Redactor
from orchestrator.vault.renewal import fresh_credential
from orchestrator.vault.services import CredentialUnavailable, ResolvedCredential
from orchestrator.vault.sharing import usable_of_name
from orchestrator.workflows.models import Trigger, Workflow
from runs.engine.ports import OpenCredential
from runs.engine.turns import passing_on
from runs.look_gates import look_gate
from runs.poll_context import checked_inputs, poll_context
from runs.poll_rows import document_of
from runs.sample_rows import sample_keep

SECONDS: Final = 10.0
AT_ONCE: Final = 4
KEPT: Final = 3
_GRACE: Final = 0.5
_MOST: Final = 600

_places: Final = Places(AT_ONCE)


def samples_fetch(*, actor: Actor, trigger: Trigger) -> int:
    """Ask once with the draft's config and keep the newest items as examples; return how many there were to keep.

    Raises Invalid with a sentence for a person where that cannot be done.
    """
    require_operation(actor, "run.test")
    config, declared = _checked(trigger.config)
    credential = _opened(actor, config, declared)
    clean = Redactor(credential.secrets if credential else ())
    if not _places.take(actor.tenant.pk):
        raise Invalid(_("Too many are looking at this moment. Try again in a few seconds."))
    try:
        items = _asked(actor, declared, config, credential)
    except AuthError as error:
        if credential is not None and not declared.any_provider:
            use_noted(
                tenant_id=actor.tenant.pk,
                credential_id=credential.credential_id,
                secret_set_at=credential.secret_set_at,
                refused=clean.text(f"{error.message} {error.hint}".strip()),
            )
        raise Invalid(_explained(declared, error, clean)) from None
    except Exception as error:
        raise Invalid(_explained(declared, error, clean)) from None
    return _keep(actor, trigger, items, clean)


def _checked(config: Mapping[str, Any]) -> tuple[PollingConfig, PollingTrigger]:
    try:
        read = config_of(config)
    except ValidationError:
        raise Invalid(_("Fill in the form first.")) from None
    declared = registry.polling(read.trigger)
    if declared is None:
        raise Invalid(_("Choose what to look for."))
    return read, declared


def _opened(actor: Actor, config: PollingConfig, declared: PollingTrigger) -> ResolvedCredential | None:
    if not config.credential or not declared.accepted_auth:
        return None
    pk = usable_of_name(actor, config.credential)
    try:
        return fresh_credential(tenant=actor.tenant, credential_id=pk, name=config.credential, is_use=False)
    except CredentialUnavailable as error:
        raise Invalid(str(error)) from None


def _asked(
    actor: Actor, declared: PollingTrigger, config: PollingConfig, credential: ResolvedCredential | None
) -> list[Item]:
    """Ask in a thread, which gives its place back whenever it ends. Raises TimeoutError, and what the trigger does."""
    egress_allow = tuple(actor.tenant.egress_allow or ())
    return asked(
        lambda: _ask(declared, config, credential, actor.tenant.pk, egress_allow),
        places=_places,
        tenant_id=actor.tenant.pk,
        name="polling-sample",
        seconds=SECONDS + _GRACE,
    )


async def _ask(
    declared: PollingTrigger,
    config: PollingConfig,
    credential: ResolvedCredential | None,
    tenant_id: int,
    egress_allow: tuple[str, ...],
) -> list[Item]:
    # Late: aiohttp is several megabytes, which a web process without this button need not hold.
    from integrations.sdk.http import HttpPool

    opened = OpenCredential()
    if credential is not None:
        opened = OpenCredential(auth=credential.auth, settings=credential.settings, secrets=credential.secrets)
    policy = egress_policy()
    pool = HttpPool(policy)
    try:
        inputs = checked_inputs(declared, config.inputs, opened)
        gate = look_gate(
            declared, config.inputs, credential_id=credential.credential_id if credential else None, tenant_id=tenant_id
        )
        context = poll_context(
            declared,
            inputs,
            opened,
            gate=gate,
            pool=pool,
            policy=policy,
            egress_allow=egress_allow,
            deadline=timezone.now() + timedelta(seconds=SECONDS),
            tenant_id=tenant_id,
        )
        async with passing_on(gate), asyncio.timeout(SECONDS):
            return list((await declared.poll(context, None)).items)
    finally:
        await pool.aclose()


@transaction.atomic
def _keep(actor: Actor, trigger: Trigger, items: list[Item], clean: Redactor) -> int:
    rows = Workflow.objects.for_tenant(trigger.tenant_id).filter(pk=trigger.workflow_id)
    rows.select_for_update(no_key=True).values_list("pk").first()
    now, kept = timezone.now(), 0
    for item in items[-KEPT:]:
        document = document_of(trigger.key, clean.clean(item.data), now)
        try:
            jsongate.check(document)
        except jsongate.BadJSON:
            continue
        sample_keep(trigger, document)
        kept += 1
    audit.record(actor=actor, action="trigger.sampled", target=trigger, detail={"kept": kept})
    return kept


def _explained(declared: PollingTrigger, error: Exception, clean: Redactor) -> str:
    """Return what an error means, in one sentence or two; a third party's text is redacted like any other."""
    if isinstance(error, NotYet | TooLate):
        return f"{error.message} {again_in(error.retry_after or 0)}"
    if isinstance(error, IntegrationError):
        return clean.text(f"{error.message} {error.hint}".strip())[:_MOST]
    if isinstance(error, TimeoutError):
        return _("%(provider)s gave no answer in time. Try again later.") % {"provider": words_of(declared).provider}
    # Its text may hold anything, and tells a person nothing.
    return _("The trigger has a defect (%(error)s).") % {"error": type(error).__name__}
