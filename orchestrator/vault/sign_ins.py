"""Connecting: a person is sent to the provider, agrees, and comes back with a code that is exchanged for tokens.

1. ``sign_in_begin`` keeps the digest of a fresh ``state``, who began it and in which session, and returns the address.
2. The provider sends the person back to ``/oauth/callback/``. ``sign_in_take`` finds the attempt by its state and
   deletes it: it counts once, for ten minutes, for the person and the session that began it.
3. ``sign_in_finish`` asks for the tokens, outside of any transaction, and stores them with the credential.

The code verifier (PKCE) is derived from the state by a key of this installation, so that nothing secret is kept.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from integrations.sdk import oauth
from integrations.sdk.errors import IntegrationError
from integrations.sdk.oauth import Tokens
from orchestrator.errors import Conflict, Invalid, NotFound, Problem
from orchestrator.tenants import audit
from orchestrator.tenants.access import Actor
from orchestrator.tenants.permissions import require_operation
from orchestrator.vault.models import AuthType, Credential, Health, SignInAttempt
from orchestrator.vault.oauth_apps import SignIn, sign_in_of, token_client
from orchestrator.vault.services import CredentialUnavailable, opened_values, tokens_keep
from orchestrator.vault.sharing import usable_or_404

LASTS: Final = timedelta(minutes=10)
# Of one person at once: who presses the button again and again has use for the last ones only.
MOST_OPEN: Final = 10
MAX_CODE: Final = 4_096


@dataclass(frozen=True, kw_only=True)
class Taken:
    """An attempt that somebody came back from; ``state`` is what they brought."""

    credential: Credential
    redirect_uri: str
    back: str
    state: str


def sign_in_ready(credential: Credential) -> bool:
    """Whether a person can connect this credential by signing in at its provider; opens no secret."""
    if credential.auth_type != AuthType.OAUTH2:
        return False
    found = sign_in_of(credential.provider, credential.settings)
    return found is not None and found.asks_a_person


@transaction.atomic
def sign_in_begin(
    *, actor: Actor, credential: Credential, redirect_uri: str, session_key: str = "", back: str = ""
) -> str:
    """Return the provider's address at which the person signs in. Raises Invalid and Conflict where there is none."""
    require_operation(actor, "credential.edit")
    if actor.user is None:
        raise Invalid(_("A person signs in at a provider: use a token of one."))
    credential = usable_or_404(actor, credential.pk)
    found = sign_in_with(credential)
    assert found.app is not None
    rows = SignInAttempt.objects.for_tenant(actor.tenant)
    rows.filter(expires_at__lt=timezone.now()).delete()
    stale = rows.filter(user=actor.user).order_by("-pk").values_list("pk", flat=True)[MOST_OPEN - 1 :]
    rows.filter(pk__in=list(stale)).delete()
    state = secrets.token_urlsafe(32)
    SignInAttempt.objects.for_tenant(actor.tenant).create(
        tenant=actor.tenant,
        credential=credential,
        user=actor.user,
        state_digest=_digest(state),
        session_digest=_digest(session_key) if session_key else "",
        redirect_uri=redirect_uri,
        back=back,
        expires_at=timezone.now() + LASTS,
    )
    audit.record(actor=actor, action="credential.connecting", target=credential)
    return oauth.authorize_address(
        found.endpoints, found.app, redirect_uri=redirect_uri, state=state, verifier=_verifier(state)
    )


def sign_in_with(credential: Credential) -> SignIn:
    """Return how a credential is signed in, its app included. Raises Invalid or Conflict that says what is missing."""
    try:
        values = opened_values(credential) if credential.auth_type == AuthType.OAUTH2 else {}
    except CredentialUnavailable as error:
        raise Conflict(str(error), code="unreadable") from None
    found = sign_in_of(credential.provider, credential.settings, values)
    if credential.auth_type != AuthType.OAUTH2 or found is None:
        raise Conflict(
            _("This credential is not connected by signing in: enter its secret instead."), code="no_sign_in"
        )
    if not found.asks_a_person:
        raise Conflict(_("This credential signs in by itself when a step uses it."), code="no_sign_in")
    if found.app is None:
        message = _("Enter the client id and secret of an app at %(provider)s: your operator has set none up.")
        said = message % {"provider": found.name}
        raise Invalid(said, problems=[Problem(path="secret.client_id", message=said, code="missing")], code="no_app")
    return found


@transaction.atomic
def sign_in_take(*, state: str, user: User, session_key: str, path: str) -> Taken:
    """Return the attempt that a state belongs to, which nobody can take again; ``path`` is where they came back to.

    Raises NotFound where there is none (used, too old, of somebody else, of another session, or sent elsewhere).
    """
    row = (
        SignInAttempt.unscoped.select_for_update(of=("self",))
        .select_related("credential__tenant")
        .filter(state_digest=_digest(state))
        .first()
    )
    gone = NotFound(
        _("This sign-in is over: it was used already, or is older than 10 minutes. Press Connect once more."),
        code="sign_in_over",
    )
    if row is None or urlsplit(row.redirect_uri).path != path:
        raise gone
    if row.user_id != user.pk or (row.session_digest and row.session_digest != _digest(session_key)):
        # Left for whoever began it: somebody who was sent somebody else's link must not use it up.
        raise NotFound(
            _("Somebody else, or another browser, began this sign-in. Press Connect yourself."), code="sign_in_foreign"
        )
    row.delete()
    if row.expires_at < timezone.now():
        raise gone
    return Taken(credential=row.credential, redirect_uri=row.redirect_uri, back=row.back, state=state)


def sign_in_finish(*, actor: Actor, taken: Taken, code: str) -> Credential:
    """Exchange the code for tokens and store them. Raises Invalid, with what the provider said, and Conflict."""
    require_operation(actor, "credential.edit")
    credential = usable_or_404(actor, taken.credential.pk)
    found = sign_in_with(credential)
    if not 0 < len(code) <= MAX_CODE or not code.isprintable():
        raise Invalid(_("%(provider)s sent no code. Press Connect once more.") % {"provider": found.name})
    try:
        tokens = asyncio.run(_exchanged(actor, found, taken, code))
    except IntegrationError as error:
        words = {"provider": found.name, "why": " ".join(filter(None, (error.message, error.hint)))}
        raise Invalid(
            _("%(provider)s gave no tokens: %(why)s Press Connect once more.") % words, code="sign_in_refused"
        ) from None
    return _keep(actor, credential, tokens)


async def _exchanged(actor: Actor, found: SignIn, taken: Taken, code: str) -> Tokens:
    app = found.app
    assert app is not None
    verifier = _verifier(taken.state)
    allowed = tuple(actor.tenant.egress_allow or ())
    hidden = tuple(value for value in (app.secret, code, verifier) if value)
    async with token_client(found, egress_allow=allowed, secrets=hidden) as http:
        return await oauth.exchange(
            http,
            found.endpoints,
            app,
            code=code,
            redirect_uri=taken.redirect_uri,
            verifier=verifier,
            now=timezone.now(),
        )


@transaction.atomic
def _keep(actor: Actor, credential: Credential, tokens: Tokens) -> Credential:
    kept = tokens_keep(
        tenant_id=actor.tenant.pk,
        credential_id=credential.pk,
        seen=credential.secret_set_at,
        tokens=tokens,
        is_new_sign_in=True,
    )
    if not kept:
        raise Conflict(_("Somebody changed this credential meanwhile. Look at it, then press Connect once more."))
    Credential.objects.for_tenant(actor.tenant).filter(pk=credential.pk).update(
        health=Health.WORKING,
        health_message="",
        health_checked_at=timezone.now(),
        secret_set_by=actor.user,
        next_check_at=timezone.now(),
    )
    audit.record(actor=actor, action="credential.connected", target=credential)
    return credential.refresh()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def _verifier(state: str) -> str:
    """Return the code verifier of a state: 64 letters and digits that nobody without our key can tell."""
    return salted_hmac("orchestrator.vault.sign_ins", state, algorithm="sha256").hexdigest()
