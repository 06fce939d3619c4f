"""What a provider's "too many" means for whoever is counted with who asked."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from integrations.sdk.errors import IntegrationError, RateLimited
from integrations.sdk.limits import Gate, NotYet, TooLate

log: Final = logging.getLogger(__name__)


@asynccontextmanager
async def passing_on(gate: Gate | None) -> AsyncIterator[None]:
    """Make a call, and pass on what it raises as ``pass_on`` does."""
    try:
        yield
    except RateLimited as error:
        await pass_on(gate, error)
        raise


async def pass_on(gate: Gate | None, error: BaseException) -> None:
    """Have everybody who is counted with this call wait, if the provider asked for that.

    A turn that did not come in time holds back nobody else.
    """
    if gate is None or not isinstance(error, RateLimited) or isinstance(error, (NotYet, TooLate)):
        return
    seconds = error.retry_after
    # Whatever an integration writes there: "not a number" would close a gate for good.
    if not isinstance(seconds, int | float) or not seconds > 0:
        return
    try:
        await gate.close(seconds)
    except IntegrationError as away:
        # This call's own failure tells more: others find out by themselves.
        log.warning("A gate could not be closed: %s", away)
