from __future__ import annotations

from typing import Any

import pytest

from orchestrator.errors import Invalid
from orchestrator.vault.secret_schemas import MAX_SECRET, check_secret, normalised, secret_values


def checked(secret: Any, auth_type: str, provider: str = "acme") -> dict[str, Any]:
    return check_secret(secret, provider=provider, auth_type=auth_type)


def refusal(secret: Any, auth_type: str, provider: str = "acme") -> dict[str, str]:
    """Return path to message of what is wrong."""
    with pytest.raises(Invalid) as caught:
        checked(secret, auth_type, provider)
    return {problem.path: problem.message for problem in caught.value.problems}


@pytest.mark.parametrize(
    ("auth_type", "secret", "auth"),
    [
        ("api_key", {"api_key": " k-1 "}, {"api_key": "k-1"}),
        ("api_key", {"api_key": "k-1", "provider": "acme", "type": "api_key"}, {"api_key": "k-1"}),
        ("bearer_token", {"token": "t-1"}, {"token": "t-1"}),
        ("oauth2", {"access_token": "a-1"}, {"access_token": "a-1"}),
        (
            "oauth2",
            {
                "access_token": "a-1",
                "refresh_token": "r-1",
                "expires_at": "2030-01-01T00:00:00Z",
                "client_id": "c",
                "client_secret": "s-1",
            },
            {"access_token": "a-1", "refresh_token": "r-1"},
        ),
        ("oauth2", {"access_token": "a-1", "expires_at": 1893456000}, {"access_token": "a-1"}),
        ("basic", {"username": "u", "password": " p "}, {"username": "u", "password": " p "}),
        ("basic", {"username": "sk-key", "password": ""}, {"username": "sk-key", "password": ""}),
    ],
)
def test_a_secret_becomes_the_auth_that_actions_read(
    auth_type: str, secret: dict[str, Any], auth: dict[str, str]
) -> None:
    values = checked(secret, auth_type)
    assert dict(normalised(values, provider="acme", auth_type=auth_type)) == {
        "provider": "acme",
        "type": auth_type,
        **auth,
    }
    assert checked(values, auth_type) == values


def test_auth_is_read_only() -> None:
    auth = normalised({"token": "t-1"}, provider="acme", auth_type="bearer_token")
    with pytest.raises(TypeError):
        auth["token"] = "x"  # type: ignore[index]


@pytest.mark.parametrize(
    ("auth_type", "secret", "path"),
    [
        ("api_key", {}, "secret.api_key"),
        ("api_key", {"api_key": ""}, "secret.api_key"),
        ("api_key", {"api_key": "   "}, "secret.api_key"),
        ("api_key", {"api_key": 5}, "secret.api_key"),
        ("api_key", {"api_key": None}, "secret.api_key"),
        ("api_key", {"api_key": "k", "apiKey": "k"}, "secret.apiKey"),
        ("api_key", {"api_key": "k\r\nX-Evil: 1"}, "secret.api_key"),
        ("api_key", {"api_key": "k\x00"}, "secret.api_key"),
        ("api_key", {"api_key": "k\u2028k"}, "secret.api_key"),
        ("api_key", {"api_key": "k\ud800"}, "secret.api_key"),
        ("api_key", {"api_key": "“k”"}, "secret.api_key"),
        ("api_key", {"api_key": "k" * (MAX_SECRET + 1)}, "secret.api_key"),
        ("api_key", {"token": "t"}, "secret.token"),
        ("bearer_token", {"token": ["t"]}, "secret.token"),
        ("oauth2", {"access_token": "a", "expires_at": "soon"}, "secret.expires_at"),
        ("basic", {"username": "u"}, "secret.password"),
        ("basic", {"username": "u", "password": "a\nb"}, "secret.password"),
        ("api_key", {"api_key": "k", "provider": "other"}, "secret.provider"),
        ("api_key", {"api_key": "k", "type": "basic"}, "secret.type"),
        ("api_key", "k", "secret"),
        ("api_key", ["k"], "secret"),
        ("api_key", None, "secret"),
    ],
)
def test_what_is_not_a_secret_of_its_kind_is_refused_at_its_path(auth_type: str, secret: Any, path: str) -> None:
    assert path in refusal(secret, auth_type)


def test_a_refusal_repeats_no_value() -> None:
    with pytest.raises(Invalid) as caught:
        checked({"api_key": ["hidden-value"], "token": "hidden-value"}, "api_key")
    assert "hidden-value" not in f"{caught.value!r} {caught.value.problems}"


def test_a_signing_secret_may_be_any_text() -> None:
    assert checked({"api_key": "geheimnis-ü"}, "api_key", provider="webhook") == {"api_key": "geheimnis-ü"}


def test_user_name_and_client_id_are_no_secrets() -> None:
    assert secret_values({"username": "u", "password": "p", "client_id": "c", "client_secret": "s"}) == ("p", "s")
