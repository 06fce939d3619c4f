"""What a person is told after a credential was saved or connected."""

from __future__ import annotations

from typing import Final

from django.contrib import messages
from django.http import HttpRequest
from django.utils.translation import gettext as _

from orchestrator.tenants.access import Actor
from orchestrator.vault import checks, listing
from orchestrator.vault.account import declared_test
from orchestrator.vault.models import Credential, Health

# What works until its end may end soon.
WORKS: Final = (Health.WORKING, Health.EXPIRING)


def say_saved(request: HttpRequest, actor: Actor, saved: Credential) -> None:
    """Say that it was saved, and whether it works: saved is saved, so what is wrong with it is a warning."""
    words = {"name": saved.name, "provider": listing.provider_name(saved.provider)}
    if declared_test(saved.provider, saved.auth_type) is None:
        said = _("Saved “%(name)s”. Not tested: %(provider)s has no test of its own, so test a step that uses it.")
        messages.success(request, said % words)
        return
    checked = checks.credential_check(actor=actor, credential=saved)
    words["message"] = checked.health_message
    if checked.health in WORKS:
        messages.success(request, _("Saved “%(name)s”. It works. %(message)s") % words)
    elif checked.health == Health.RECONNECT:
        said = _("Saved “%(name)s”, but steps that use it will fail. %(provider)s refuses it: %(message)s")
        messages.warning(request, said % words)
    else:
        messages.warning(request, _("Saved “%(name)s”, not tested yet. %(message)s") % words)
