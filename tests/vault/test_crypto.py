from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from orchestrator.vault import crypto

FIRST, SECOND = b"1" * 32, b"2" * 32
PLACE = {"tenant_id": 7, "context": "credential:17"}


@pytest.fixture(autouse=True)
def _keys(settings: Settings) -> None:
    settings.VAULT_KEYS = (FIRST,)


def sealed(text: bytes = b"a secret") -> bytes:
    return crypto.seal(text, **PLACE).blob  # type: ignore[arg-type]


@given(st.binary(max_size=500), st.integers(1, 2**63 - 1), st.text(min_size=1, max_size=40).filter(str.isprintable))
def test_what_is_sealed_for_a_place_opens_there(plain: bytes, tenant: int, context: str) -> None:
    blob = crypto.seal(plain, tenant_id=tenant, context=context).blob
    assert crypto.unseal(blob, tenant_id=tenant, context=context) == plain
    assert crypto.unseal(memoryview(blob), tenant_id=tenant, context=context) == plain


@pytest.mark.parametrize(
    "place",
    [
        {"tenant_id": 8, "context": "credential:17"},
        {"tenant_id": 7, "context": "credential:18"},
        {"tenant_id": 7, "context": "trigger:17"},
        {"tenant_id": 71, "context": "credential:7"},
    ],
)
def test_a_value_moved_to_another_row_or_tenant_does_not_open(place: dict[str, object]) -> None:
    with pytest.raises(crypto.Tampered):
        crypto.unseal(sealed(), **place)  # type: ignore[arg-type]


def test_every_changed_byte_is_found_out() -> None:
    blob = sealed()
    for position in range(len(blob)):
        changed = bytearray(blob)
        changed[position] ^= 1
        with pytest.raises((crypto.Tampered, crypto.UnknownKey)):
            crypto.unseal(bytes(changed), **PLACE)  # type: ignore[arg-type]


def test_every_cut_is_found_out() -> None:
    blob = sealed()
    for length in range(len(blob)):
        with pytest.raises(crypto.Tampered):
            crypto.unseal(blob[:length], **PLACE)  # type: ignore[arg-type]
    with pytest.raises(crypto.Truncated):
        crypto.unseal(b"", **PLACE)  # type: ignore[arg-type]
    with pytest.raises(crypto.Truncated):
        crypto.unseal(blob[:40], **PLACE)  # type: ignore[arg-type]


def test_an_unknown_version_is_named() -> None:
    with pytest.raises(crypto.WrongVersion, match="version 2"):
        crypto.unseal(b"\x02" + sealed()[1:], **PLACE)  # type: ignore[arg-type]


def test_halves_of_two_values_do_not_make_a_third() -> None:
    one, two = sealed(b"the first one"), sealed(b"the other one")
    for cut in (9 + 12, 9 + 60, 9 + 60 + 12):
        with pytest.raises(crypto.Tampered):
            crypto.unseal(one[:cut] + two[cut:], **PLACE)  # type: ignore[arg-type]


def test_an_unknown_key_is_named_by_its_id(settings: Settings) -> None:
    blob = sealed()
    settings.VAULT_KEYS = (SECOND,)
    with pytest.raises(crypto.UnknownKey, match=crypto.key_id(FIRST)):
        crypto.unseal(blob, **PLACE)  # type: ignore[arg-type]


def test_without_keys_nothing_is_sealed(settings: Settings) -> None:
    settings.VAULT_KEYS = ()
    with pytest.raises(crypto.UnknownKey, match="VAULT_KEYS is not set"):
        sealed()


def test_the_first_key_encrypts_and_all_decrypt(settings: Settings) -> None:
    old = sealed()
    settings.VAULT_KEYS = (SECOND, FIRST)
    new = crypto.seal(b"newer", tenant_id=7, context="credential:17")
    assert new.key_id == crypto.key_id(SECOND) == crypto.current_key_id()
    assert crypto.unseal(old, **PLACE) == b"a secret"  # type: ignore[arg-type]
    assert crypto.unseal(new.blob, **PLACE) == b"newer"  # type: ignore[arg-type]


def test_a_rotation_wraps_the_data_key_again_and_leaves_the_ciphertext(settings: Settings) -> None:
    old = sealed()
    settings.VAULT_KEYS = (SECOND, FIRST)
    moved = crypto.rewrap(old, tenant_id=7, context="credential:17")
    assert moved.key_id == crypto.key_id(SECOND)
    assert moved.blob[69:] == old[69:]
    settings.VAULT_KEYS = (SECOND,)
    assert crypto.unseal(moved.blob, **PLACE) == b"a secret"  # type: ignore[arg-type]


def test_a_rotation_of_a_value_that_belongs_elsewhere_is_refused() -> None:
    with pytest.raises(crypto.Tampered):
        crypto.rewrap(sealed(), tenant_id=8, context="credential:17")


def test_two_writes_of_one_text_share_nothing() -> None:
    one, two = sealed(), sealed()
    assert one[9:] != two[9:]
    assert b"a secret" not in one


def test_a_key_id_tells_nothing_of_its_key_and_a_repr_nothing_of_the_value() -> None:
    made = crypto.seal(b"a secret", tenant_id=7, context="x")
    assert len(made.key_id) == 16
    assert made.key_id not in FIRST.hex()
    assert repr(made) == f"Sealed(key_id='{made.key_id}')"
