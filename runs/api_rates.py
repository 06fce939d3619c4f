"""How the API tells a tenant's limit of runs a minute, where it has one."""

from __future__ import annotations

from typing import Final

from drf_spectacular.utils import OpenApiParameter
from rest_framework.response import Response

from orchestrator.tenants.models import Tenant
from runs.rates import rate_of

_STARTS: Final = [200, 202]
RATE_HEADERS: Final = tuple(
    OpenApiParameter(name, int, OpenApiParameter.HEADER, description=description, response=_STARTS)
    for name, description in {
        "X-RateLimit-Limit": "Runs that the tenant may start in a minute; not sent where there is no limit.",
        "X-RateLimit-Remaining": "How many of them are left now.",
        "X-RateLimit-Reset": "In how many seconds there is one more.",
    }.items()
)


def with_rate(tenant: Tenant, response: Response) -> Response:
    """Add what is left of the tenant's limit to an answer; nothing where it has none."""
    if tenant.runs_per_minute is not None:
        rate = rate_of(tenant, tenant.runs_per_minute)
        response.headers["X-RateLimit-Limit"] = str(rate.limit)
        response.headers["X-RateLimit-Remaining"] = str(max(0, rate.remaining))
        response.headers["X-RateLimit-Reset"] = str(rate.reset)
    return response
