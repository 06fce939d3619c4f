"""Back to where somebody came from with a new credential, and into the step that it was made for."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qs, unquote

from django.urls import Resolver404, resolve
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from orchestrator.errors import Invalid
from orchestrator.tenants.access import Actor, get_for_tenant_or_404
from orchestrator.tenants.models import Tenant
from orchestrator.vault.models import Credential
from orchestrator.workflows.credentials import fits, secret_choose, takes_secret
from orchestrator.workflows.models import Step, Workflow
from orchestrator.workflows.services import step_update

LONGEST: Final = 500
# In the address of a step's page: the field that a new secret is for.
FIELD: Final = "secret_for"


def local_page(tenant: Tenant, target: str) -> str:
    """Return the address if it is one of the tenant's own pages, else nothing: never another host's."""
    if not target.startswith(f"/w/{tenant.slug}/") or len(target) > LONGEST or not target.isprintable():
        return ""
    # Browsers take a backslash for a slash, and dots lead out of the tenant.
    path = unquote(target.partition("?")[0])
    if "\\" in path or "/../" in f"{path}/" or "//" in path:
        return ""
    return target if url_has_allowed_host_and_scheme(target, allowed_hosts=None) else ""


def chosen_in_step(*, actor: Actor, address: str, credential: Credential) -> str:
    """Let the step whose page ``address`` is use the credential; return the address of the step's field.

    A secret goes into the field that the address names. Another page's address comes back as it is. Raises
    ServiceError where the step is gone or the credential does not fit it.
    """
    path, _mark, query = address.partition("#")[0].partition("?")
    try:
        match = resolve(path)
    except Resolver404:
        return address
    if match.url_name != "workflow-step":
        return address
    workflow = get_for_tenant_or_404(Workflow, actor.tenant, pk=match.kwargs["pk"])
    step = get_for_tenant_or_404(Step, actor.tenant, workflow=workflow, key=match.kwargs["key"])
    field = parse_qs(query).get(FIELD, [""])[-1]
    if field and takes_secret(step.action, field, credential):
        secret_choose(actor=actor, workflow=workflow, key=step.key, field=field, credential=credential)
        return f"{path}#field-{field}"
    if not fits(step.action, credential):
        raise Invalid(
            _("“%(name)s” was saved, and does not fit this step: choose another one.") % {"name": credential.name}
        )
    step_update(actor=actor, workflow=workflow, key=step.key, changes={"credential": credential.name})
    return f"{path}#field-credential"
