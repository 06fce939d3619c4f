"""What the functions of an integration's trigger get when they are called, by a driver or for who builds with it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from integrations.sdk.auth import AuthView
from integrations.sdk.client import StepHttp
from integrations.sdk.context import RunContext, StepLog
from integrations.sdk.declaration import Declaration
from integrations.sdk.dialling import dialler
from integrations.sdk.egress import EgressPolicy
from orchestrator import jsongate
from orchestrator.types import JSONValue
from runs.clients import client_of
from runs.engine.ports import OpenCredential

if TYPE_CHECKING:
    from integrations.sdk.http import HttpPool


def poll_context(
    trigger: Declaration,
    inputs: Mapping[str, JSONValue],
    credential: OpenCredential,
    *,
    pool: HttpPool,
    policy: EgressPolicy,
    egress_allow: tuple[str, ...],
    deadline: datetime,
    tenant_id: int,
    idempotency_key: str = "",
) -> RunContext[Any]:
    """Return the context. Raises InputError and AuthError where the trigger must not be called."""
    checked = trigger.validate_inputs(inputs)
    trigger.check_auth(credential.auth)

    def client() -> StepHttp:
        return client_of(
            pool,
            trigger,
            credential,
            egress_allow=egress_allow,
            deadline=deadline,
            idempotency_key=idempotency_key,
            max_bytes=jsongate.MAX_BYTES,
        )

    return RunContext(
        inputs=checked,
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
