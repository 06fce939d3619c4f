"""Changes to a tenant's variables, which every workflow reads as ``vars.<key>``."""

from __future__ import annotations

import re
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from orchestrator import jsongate
from orchestrator.errors import Invalid, NotFound, Problem
from orchestrator.flow.names import KEY_PATTERN
from orchestrator.tenants import audit
from orchestrator.tenants.access import Actor
from orchestrator.tenants.permissions import require_operation
from orchestrator.types import JSONValue
from orchestrator.workflows.models import Variable

# Every run of the tenant loads them all.
MAX_VARIABLES: Final = 500
MAX_BYTES: Final = 64 * 1024
_KEY: Final = re.compile(KEY_PATTERN)


@transaction.atomic
def variable_create(*, actor: Actor, key: str, value: JSONValue) -> Variable:
    """Make a variable. Raises Invalid for a key that is none or is taken, a value too large, and one too many."""
    require_operation(actor, "variable.edit")
    if not _KEY.fullmatch(key):
        raise _refused(
            "key",
            _("%(key).80r is no key: lower-case letters, digits and _, a letter first.") % {"key": key},
            "pattern",
        )
    if Variable.objects.for_tenant(actor.tenant).count() >= MAX_VARIABLES:
        raise _refused(
            "key",
            _("A tenant has at most %(most)s variables. Delete one first.") % {"most": MAX_VARIABLES},
            "too_many",
        )
    variable = Variable(tenant=actor.tenant, key=key, value=_checked(value))
    try:
        with transaction.atomic():
            variable.save(force_insert=True)
    except IntegrityError:
        raise _refused(
            "key", _("There is a variable %(key)r already. Change that one.") % {"key": key}, "taken"
        ) from None
    audit.record(actor=actor, action="variable.created", target=variable)
    return variable


@transaction.atomic
def variable_update(*, actor: Actor, variable: Variable, value: JSONValue) -> Variable:
    """Give a variable another value, which runs read from their next step on. Raises Invalid."""
    require_operation(actor, "variable.edit")
    kept = _checked(value)
    rows = Variable.objects.for_tenant(actor.tenant).select_for_update(of=("self",)).filter(pk=variable.pk)
    found = rows.first()
    if found is None:
        raise NotFound(_("There is no such variable in this tenant."))
    found.value, found.updated_at = kept, timezone.now()
    found.save(update_fields=["value", "updated_at"])
    audit.record(actor=actor, action="variable.changed", target=found)
    return found


@transaction.atomic
def variable_delete(*, actor: Actor, variable: Variable) -> None:
    """Delete a variable; what reads it says from then on that it is not there."""
    require_operation(actor, "variable.edit")
    audit.record(actor=actor, action="variable.deleted", target=variable)
    Variable.objects.for_tenant(actor.tenant).filter(pk=variable.pk).delete()


def _checked(value: Any) -> JSONValue:
    if value is None:
        raise _refused("value", _("A variable has a value, and null is none: delete it instead."), "null")
    try:
        text = jsongate.dumps(jsongate.check(value))
    except jsongate.BadJSON as error:
        raise _refused("value", _("The value is not taken: %(error)s.") % {"error": error}, "json") from error
    if len(text) > MAX_BYTES:
        raise _refused(
            "value",
            _("The value has %(count)s bytes; at most %(most)s are taken.")
            % {"count": f"{len(text):,}", "most": f"{MAX_BYTES:,}"},
            "too_large",
        )
    return value  # type: ignore[no-any-return]


def _refused(path: str, message: str, code: str) -> Invalid:
    return Invalid(message, problems=[Problem(path=path, message=message, code=code)])
