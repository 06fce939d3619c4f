"""What the operator's settings let steps and credential checks reach."""

from __future__ import annotations

from django.conf import settings

from integrations.sdk.egress import EgressPolicy


def egress_policy(*, fetches_tokens: bool = False) -> EgressPolicy:
    """Return the policy that EGRESS_ALLOW, the operator's replaced roots and BASE_URL make.

    ``fetches_tokens``: the operator's token endpoints too, for which no tenant says what is sent there. Raises
    ValueError with one sentence on an entry of EGRESS_ALLOW that cannot be read.
    """
    environment = settings.ENV
    tokens = environment.oauth_token_urls.values() if fetches_tokens else ()
    return EgressPolicy(
        allow=environment.egress_allow,
        origins=(*environment.base_urls.values(), *tokens),
        health_url=f"{settings.BASE_URL}/healthz" if settings.BASE_URL else None,
    )
