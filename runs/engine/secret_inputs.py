"""Inputs that are secrets: a step holds the name of a credential, and its value is there for the call alone. Pure.

What is journaled of the inputs is what the step holds, so the value is in no record, whatever becomes of the call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from integrations.sdk.errors import InputError
from integrations.words import gettext as _
from orchestrator.flow.definition import StepDefinition
from orchestrator.flow.secret_inputs import is_value, referenced
from runs.engine.ports import NoCredential, OpenCredential, Ports
from runs.engine.records import RunOrder


@dataclass(frozen=True, kw_only=True)
class OpenInputs:
    """The values of a call's secret inputs, by input, and all that must not be told of them; nothing is in ``repr``."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


NOTHING_OPEN: Final = OpenInputs(values=MappingProxyType({}))


async def open_inputs(ports: Ports, order: RunOrder, step: StepDefinition) -> OpenInputs:
    """Open what a step's secret inputs hold, and let the run's redactor know it.

    Raises InputError where one holds something else, NoCredential and SecretsAway as for the step's own credential.
    """
    found = ports.catalog.find(step.action, step.config.inputs)
    if found is None or found.resolved_as != "registry" or not found.action.secret_inputs:
        return NOTHING_OPEN
    values: dict[str, str] = {}
    secrets: list[str] = []
    for name in found.action.secret_inputs:
        held = step.config.inputs.get(name)
        if held is None:
            continue
        chosen = referenced(held)
        if not chosen:
            raise InputError(
                _("%(name)s: a secret is not written into a step.") % {"name": name},
                field=name,
                hint=_("Save it as a secret and choose it in the step's form."),
            )
        credential = await _opened(ports, order, chosen, name)
        values[name] = str(credential.auth["api_key"])
        secrets += credential.secrets
    return OpenInputs(values=values, secrets=tuple(secrets))


async def _opened(ports: Ports, order: RunOrder, chosen: str, field: str) -> OpenCredential:
    try:
        credential = await ports.credentials.open(
            tenant_id=order.tenant_id, name=chosen, credential_id=order.bindings.get(chosen)
        )
    except NoCredential as error:
        raise NoCredential(str(error), field=field) from None
    ports.redactor.add(credential.secrets)
    if not is_value(str(credential.auth.get("provider")), str(credential.auth.get("type"))):
        raise NoCredential(
            _("%(chosen)r is a credential for another use, not a secret for a field.") % {"chosen": chosen}, field=field
        )
    return credential
