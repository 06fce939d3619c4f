"""A credential's health in words, the same wherever it is shown."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from orchestrator.vault.checks import EXPIRES_SOON
from orchestrator.vault.models import AuthType, Credential, Health


@dataclass(frozen=True, kw_only=True)
class HealthFace:
    """What ``vault/_health.html`` shows: a status of ``orchestrator.words`` and, where that says too little, a word."""

    status: str
    word: str = ""


def face_of(credential: Credential) -> HealthFace:
    """Return how a credential fares now: its end may have come near since somebody last looked."""
    ends = credential.expires_at if credential.auth_type != AuthType.OAUTH2 else None
    left = ends - timezone.now() if ends else None
    if credential.health == Health.RECONNECT or left is None or left > EXPIRES_SOON:
        # One that was about to end, and was given another day meanwhile, is as good as it was last seen to be.
        return HealthFace(status=Health.WORKING if credential.health == Health.EXPIRING else credential.health)
    if left.days < 0:
        return HealthFace(status=Health.RECONNECT, word=_("Ended"))
    return HealthFace(status=Health.EXPIRING, word=_ends_in(left.days))


def _ends_in(days: int) -> str:
    if not days:
        return _("Ends today")
    return ngettext("Ends in %(count)d day", "Ends in %(count)d days", days) % {"count": days}
