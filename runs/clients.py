"""The HTTP client of one call of an integration's function: a step's attempt, a poll, or what tells a provider."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from django.conf import settings

from integrations.registry import http_options
from integrations.sdk.client import Authorize, StepHttp
from integrations.sdk.declaration import Declaration
from runs.engine.ports import OpenCredential

if TYPE_CHECKING:
    # Of several megabytes, which the web process need not hold.
    from integrations.sdk.http import HttpPool


def client_of(
    pool: HttpPool,
    declared: Declaration,
    credential: OpenCredential,
    *,
    egress_allow: Sequence[str],
    deadline: datetime,
    idempotency_key: str,
    max_bytes: int,
    traceparent: str = "",
) -> StepHttp:
    """Return the client, by which a request that its credential is refused for is sent once more with a renewed one."""
    return pool.client(
        **http_options(declared, credential.auth, credential.settings, settings.ENV.base_urls),
        egress_allow=egress_allow,
        deadline=deadline,
        idempotency_key=idempotency_key,
        max_bytes=max_bytes,
        secrets=credential.secrets,
        renew=partial(_renewed, declared, credential.renew) if credential.renew else None,
        traceparent=traceparent,
    )


async def _renewed(declared: Declaration, renew: Callable[[], Awaitable[OpenCredential | None]]) -> Authorize | None:
    """Return what puts a renewed credential on a request, None where there is no other one."""
    found = await renew()
    if found is None:
        return None
    return http_options(declared, found.auth, found.settings, settings.ENV.base_urls)["authorize"]
