"""What the functions of an integration's trigger get when they are called, by a driver or for who builds with it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from integrations.sdk.auth import AuthView
from integrations.sdk.client import StepHttp
from integrations.sdk.context import RunContext, StepLog
from integrations.sdk.declaration import Declaration
from integrations.sdk.dialling import dialler
from integrations.sdk.egress import EgressPolicy
from integrations.sdk.limits import Gate
from orchestrator import jsongate
from orchestrator.types import JSONValue
from runs.clients import client_of
from runs.engine.ports import OpenCredential

if TYPE_CHECKING:
    from integrations.sdk.http import HttpPool


def checked_inputs(trigger: Declaration, inputs: Mapping[str, JSONValue], credential: OpenCredential) -> BaseModel:
    """Return the inputs as the trigger's own model. Raises InputError and AuthError where it must not be called."""
    checked = trigger.validate_inputs(inputs)
    trigger.check_auth(credential.auth)
    return checked


def poll_context(
    trigger: Declaration,
    inputs: BaseModel,
    credential: OpenCredential,
    *,
    gate: Gate | None,
    pool: HttpPool,
    policy: EgressPolicy,
    egress_allow: tuple[str, ...],
    deadline: datetime,
    tenant_id: int,
    idempotency_key: str = "",
) -> RunContext[Any]:
    """Return the context, whose requests pass the gate; ``inputs`` were checked."""

    def client() -> StepHttp:
        made = client_of(
            pool,
            trigger,
            credential,
            egress_allow=egress_allow,
            deadline=deadline,
            idempotency_key=idempotency_key,
            max_bytes=jsongate.MAX_BYTES,
        )
        made.gate = gate
        return made

    return RunContext(
        inputs=inputs,
        auth=AuthView(credential.auth),
        client=client,
        log=StepLog(),
        tenant_id=str(tenant_id),
        run_id="",
        step_key="",
        attempt=1,
        idempotency_key=idempotency_key,
        deadline=deadline,
        settings=credential.settings,
        dialler=dialler(policy, egress_allow=egress_allow, deadline=deadline),
    )
