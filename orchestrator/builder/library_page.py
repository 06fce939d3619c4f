"""How an integration comes into the library: the commands, one after the other, and what a level stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from integrations.sdk.quality import FILE, RULES
from orchestrator.tenants.access import Actor, tenant_page
from orchestrator.tenants.shell import page

# The quality file of the guide's integration, as it is once its exchange is recorded.
_QUALITY: Final = 'level = "silver"\n'
_RECORD: Final = (
    "python manage.py integration try parcels.getItem --input item_id=42 --credential parcels --tenant {tenant} "
    "--record tests/contract/exchanges/parcels.getItem.json"
)


@dataclass(frozen=True, kw_only=True)
class File:
    """A file to write: its name and its content."""

    name: str
    html: str | SafeString


@dataclass(frozen=True, kw_only=True)
class RuleRow:
    """A rule of quality: what it is called, from which level it is asked, and what it asks."""

    key: str
    level: str
    words: str


@require_safe
@tenant_page()
def library(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show how an integration is added to the library, or kept in a package."""
    context = {
        "record": _RECORD.format(tenant=actor.tenant.slug),
        "quality": File(name=f"integrations/providers/parcels/{FILE}", html=_QUALITY),
        "rules": [RuleRow(key=rule.key, level=rule.level or "–", words=_(rule.words)) for rule in RULES],
    }
    return page(request, actor, "developers/library.html", context, nav="developers")
