"""Authenticated envelope encryption, bound to a tenant and a row.

A blob is ``version (1) | key id (8) | wrap nonce (12) | wrapped data key (48) | nonce (12) | ciphertext``. The data
key is fresh for every write and wrapped by a key that HKDF derives from a master key for the tenant; both
layers carry version, tenant and context as associated data. So a blob moved to another row, tenant
or context does not open, and a rotation re-wraps data keys without touching what they encrypt.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

VERSION: Final = 1
_KEY: Final = 32
_TAG: Final = 16
_NONCE: Final = 12
_KEY_ID: Final = 8
_HEADER: Final = 1 + _KEY_ID
_WRAPPED: Final = _NONCE + _KEY + _TAG
_SHORTEST: Final = _HEADER + _WRAPPED + _NONCE + _TAG


class VaultError(Exception):
    """A sealed value cannot be opened; the message never holds any of it."""


class Tampered(VaultError):
    """The value was changed, cut, or belongs to another row or tenant."""


class Truncated(Tampered):
    """The value is shorter than any sealed value can be."""


class WrongVersion(Tampered):
    """The value is of a version that is not known here: changed, or written by a newer release."""


class UnknownKey(VaultError):
    """The master key that the value was sealed with is not among VAULT_KEYS."""


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """What is stored: the blob, and the id (16 hexadecimal digits) of the master key that wraps it."""

    blob: bytes = field(repr=False)
    key_id: str


def key_id(master: bytes) -> str:
    """Return the id of a master key: derived from it, telling nothing of it."""
    return hashlib.sha256(b"orchestrator key id\0" + master).hexdigest()[: _KEY_ID * 2]


def current_key_id() -> str:
    """Return the id of the key that new values are sealed with. Raises UnknownKey without any."""
    return key_id(_first_key())


def seal(plaintext: bytes, *, tenant_id: int, context: str) -> Sealed:
    """Encrypt for one tenant and one place, like ``credential:17``."""
    data_key = AESGCM.generate_key(bit_length=256)
    nonce = os.urandom(_NONCE)
    body = nonce + AESGCM(data_key).encrypt(nonce, plaintext, _associated("data", tenant_id, context))
    return _wrap(data_key, body, tenant_id=tenant_id, context=context)


def unseal(blob: bytes | memoryview, *, tenant_id: int, context: str) -> bytes:
    """Decrypt. Raises Tampered or UnknownKey; never returns anything that was not sealed for this place."""
    data_key, body = _unwrap(blob, tenant_id=tenant_id, context=context)
    try:
        return AESGCM(data_key).decrypt(body[:_NONCE], body[_NONCE:], _associated("data", tenant_id, context))
    except InvalidTag:
        raise Tampered("The sealed value was changed or belongs elsewhere.") from None


def rewrap(blob: bytes | memoryview, *, tenant_id: int, context: str) -> Sealed:
    """Wrap the same data key with the first master key; the encrypted value stays as it is."""
    data_key, body = _unwrap(blob, tenant_id=tenant_id, context=context)
    return _wrap(data_key, body, tenant_id=tenant_id, context=context)


def signing_keys(purpose: str) -> tuple[bytes, ...]:
    """Return a key for signatures of one purpose from each master key, the one to sign with first.

    Raises UnknownKey without any master key.
    """
    _first_key()
    return tuple(_signing_key(bytes(master), purpose) for master in settings.VAULT_KEYS)


@lru_cache(maxsize=64)
def _signing_key(master: bytes, purpose: str) -> bytes:
    info = b"orchestrator signatures " + purpose.encode()
    return HKDF(algorithm=SHA256(), length=_KEY, salt=None, info=info).derive(master)


def _wrap(data_key: bytes, body: bytes, *, tenant_id: int, context: str) -> Sealed:
    master = _first_key()
    identifier = key_id(master)
    nonce = os.urandom(_NONCE)
    wrapped = AESGCM(_tenant_key(master, tenant_id)).encrypt(
        nonce, data_key, _associated("key", tenant_id, context) + bytes.fromhex(identifier)
    )
    return Sealed(blob=bytes([VERSION]) + bytes.fromhex(identifier) + nonce + wrapped + body, key_id=identifier)


def _unwrap(blob: bytes | memoryview, *, tenant_id: int, context: str) -> tuple[bytes, bytes]:
    blob = bytes(blob)  # PostgreSQL's driver gives a memoryview
    if blob[:1] not in (b"", bytes([VERSION])):
        raise WrongVersion(f"The sealed value is of version {blob[0]}, which this release does not know.")
    if len(blob) < _SHORTEST:
        raise Truncated("The sealed value is cut short.")
    identifier = blob[1:_HEADER]
    master = next((key for key in settings.VAULT_KEYS if key_id(key) == identifier.hex()), None)
    if master is None:
        raise UnknownKey(
            f"The value was sealed with key {identifier.hex()}, which is not among VAULT_KEYS. Add it back."
        )
    wrapped = blob[_HEADER : _HEADER + _WRAPPED]
    try:
        data_key = AESGCM(_tenant_key(master, tenant_id)).decrypt(
            wrapped[:_NONCE], wrapped[_NONCE:], _associated("key", tenant_id, context) + identifier
        )
    except InvalidTag:
        raise Tampered("The sealed value was changed or belongs elsewhere.") from None
    return data_key, blob[_HEADER + _WRAPPED :]


def _associated(part: str, tenant_id: int, context: str) -> bytes:
    # Each field carries its length, so that no two different triples give the same bytes.
    fields = (part.encode(), bytes([VERSION]), str(tenant_id).encode(), context.encode())
    return b"".join(len(value).to_bytes(4, "big") + value for value in fields)


@lru_cache(maxsize=1024)
def _tenant_key(master: bytes, tenant_id: int) -> bytes:
    info = b"orchestrator vault tenant " + str(tenant_id).encode()
    return HKDF(algorithm=SHA256(), length=_KEY, salt=None, info=info).derive(master)


def _first_key() -> bytes:
    if not settings.VAULT_KEYS:
        raise UnknownKey("VAULT_KEYS is not set, so nothing can be sealed.")
    return bytes(settings.VAULT_KEYS[0])
