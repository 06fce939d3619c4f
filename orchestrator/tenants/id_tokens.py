"""ID tokens: whether one is signed by its provider, for us, now, and as the answer to what this browser asked."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any, Final, cast

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet

LEEWAY: Final = 60
_LONGEST: Final = 64 * 1024
_MOST_KEYS: Final = 100
_LONGEST_SUBJECT: Final = 255


class TokenRefused(Exception):
    """An ID token that proves nothing; the message says which check failed, and holds nothing of the token."""


def claims_of(
    token: object,
    *,
    keys: Mapping[str, Any],
    issuer: str,
    client_id: str,
    nonce: str,
    algorithms: tuple[str, ...],
) -> dict[str, Any]:
    """Return the claims of an ID token. Raises TokenRefused unless all of OpenID Connect Core 3.1.3.7 holds.

    ``keys`` is the provider's JSON Web Key Set, ``algorithms`` what it may sign with. The audience must be
    the client alone, or name it as ``azp``.
    """
    if not isinstance(token, str) or not token or len(token) > _LONGEST:
        raise TokenRefused("there is no ID token")
    try:
        claims = jwt.decode(token, _key_set(keys), algorithms=list(algorithms)).claims
        jwt.JWTClaimsRegistry(
            leeway=LEEWAY,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True},
        ).validate(claims)
    except (JoseError, ValueError, TypeError, KeyError, RecursionError) as error:
        # Its text may hold what the provider sent.
        raise TokenRefused(f"{type(error).__name__} {getattr(error, 'claim', '') or ''}".strip()) from None
    _check_audience(claims, client_id)
    given = claims["nonce"]
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), nonce.encode()):
        raise TokenRefused("nonce")
    subject = claims["sub"]
    if not 0 < len(subject) <= _LONGEST_SUBJECT or not subject.isprintable():
        raise TokenRefused("sub")
    return claims


def _check_audience(claims: Mapping[str, Any], client_id: str) -> None:
    audience, party = claims["aud"], claims.get("azp")
    if isinstance(audience, list) and audience != [client_id] and party != client_id:
        raise TokenRefused("aud names others, and azp not this client")
    if party is not None and party != client_id:
        raise TokenRefused("azp")


def _key_set(found: Mapping[str, Any]) -> KeySet:
    """Return the keys that signatures are checked with; one that cannot be read does not spoil the others."""
    listed = found.get("keys")
    keys = [key for each in listed[:_MOST_KEYS] if (key := _key(each))] if isinstance(listed, list) else []
    if not keys:
        raise TokenRefused("the provider publishes no key for signatures")
    return KeySet(keys)


def _key(found: object) -> Key | None:
    if not isinstance(found, dict) or found.get("kty") not in ("RSA", "EC") or found.get("use", "sig") != "sig":
        return None
    try:
        return JWKRegistry.import_key(cast(Any, found))
    except (JoseError, ValueError, TypeError, KeyError):
        return None
