"""Whether a step has the credentials that it needs, and what stands in the way of those that it has. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from integrations.words import credential_words
from integrations.words import gettext as _
from orchestrator.errors import Problem
from orchestrator.flow.definition import StepDefinition
from orchestrator.flow.facts import ActionFacts, CredentialFacts, scopes_missing
from orchestrator.flow.secret_inputs import NEVER_SENT, PROVIDER, is_value, referenced
from orchestrator.flow.telling import close, error, warning


def credential_problems(
    path: str, step: StepDefinition, facts: ActionFacts, credentials: Mapping[str, CredentialFacts]
) -> Iterator[Problem]:
    """Check that a step has the credential that its action needs, and that the action takes it."""
    where, needed = f"{path}.credential", credential_words(facts.accepted_auth)
    name = facts.provider_name
    if step.credential is None:
        if facts.auth_required and facts.accepted_auth:
            yield error(
                where,
                _("%(name)s requires %(needed)s. Choose a credential.") % {"name": name, "needed": needed},
                "credential_missing",
            )
        return
    known = credentials.get(step.credential)
    if known is None:
        hint = close(step.credential, list(credentials))
        yield error(
            where,
            _("There is no credential %(credential)r.%(hint)s") % {"credential": step.credential, "hint": hint},
            "credential_unknown",
        )
    elif not facts.accepted_auth:
        yield warning(where, _("%(name)s uses no credential.") % {"name": facts.name}, "credential_unused")
    elif known.auth_type not in facts.accepted_auth:
        yield error(
            where,
            _("%(name)s requires %(needed)s; this is %(auth_type)s.")
            % {"name": name, "needed": needed, "auth_type": credential_words([known.auth_type])},
            "credential_type",
        )
    elif known.provider != facts.provider and (facts.provider != "http" or known.provider in NEVER_SENT):
        message = _("This credential is for %(other)s, not %(provider)s.") % {
            "other": known.provider,
            "provider": facts.provider,
        }
        yield error(where, message, "credential_provider")
    else:
        yield from credential_state(where, step.credential, known)
        yield from _scopes(where, step.credential, facts, known)


def _scopes(where: str, name: str, facts: ActionFacts, known: CredentialFacts) -> Iterator[Problem]:
    """Yield what a credential of the action's own provider was not granted, where it is known what it was."""
    if known.provider != facts.provider:
        return
    if missing := scopes_missing(facts.scopes, known.scopes):
        told = {"name": name, "scopes": ", ".join(_short_scope(scope) for scope in missing)}
        yield warning(where, _("Connect “%(name)s” again to grant it %(scopes)s.") % told, "credential_scopes")


def _short_scope(scope: str) -> str:
    """Return the first of the alternatives, without the address that Google's begin with."""
    return scope.partition("|")[0].rpartition("/")[2]


def secret_problems(
    prefix: str, inputs: Mapping[str, Any], facts: ActionFacts, credentials: Mapping[str, CredentialFacts]
) -> Iterator[Problem]:
    """Check that secret inputs hold a secret of the vault, by its name."""
    for name in facts.secrets:
        value, where = inputs.get(name), f"{prefix}.{name}"
        if value is None:
            continue
        chosen = referenced(value)
        known = credentials.get(chosen)
        if not chosen:
            message = _("A secret is not written into a step. Save it as a secret and choose it here.")
            yield error(where, message, "secret_literal")
        elif known is None:
            hint = close(chosen, [each for each, of in credentials.items() if of.provider == PROVIDER])
            yield error(
                where,
                _("There is no secret %(chosen)r.%(hint)s") % {"chosen": chosen, "hint": hint},
                "credential_unknown",
            )
        elif not is_value(known.provider, known.auth_type):
            message = _("%(chosen)r is a credential for %(provider)s, not a secret for a field.") % {
                "chosen": chosen,
                "provider": known.provider,
            }
            yield error(where, message, "credential_provider")
        else:
            yield from credential_state(where, chosen, known)


def credential_state(where: str, name: str, known: CredentialFacts) -> Iterator[Problem]:
    """Tell what stands in the way of using a credential that fits: that it is not shared, or how it fares."""
    if not known.is_shared:
        yield error(where, unshared(name), "credential_unshared")
    elif known.health == "reconnect":
        again = _("“%(name)s” no longer works: it was refused or has expired. Connect it again, or choose another.")
        anew = _("“%(name)s” no longer works: it was refused or has expired. Enter a new secret, or choose another.")
        message = (again if known.auth_type == "oauth2" else anew) % {"name": name}
        yield error(where, message, "credential_health")
    elif known.health == "expiring":
        yield warning(
            where,
            _("“%(name)s” expires soon. Enter a new secret before it does.") % {"name": name},
            "credential_expiring",
        )


def unshared(name: str) -> str:
    return _(
        "“%(name)s” is not shared with you. Choose another, or ask whom it is shared with to test and publish."
    ) % {"name": name}
