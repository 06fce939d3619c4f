"""From an answer to an error."""

import httpx
import pytest

from integrations.sdk import (
    AuthError,
    IntegrationError,
    NotFound,
    Permanent,
    PermissionMissing,
    RateLimited,
    Transient,
)
from integrations.sdk.client import Response
from integrations.sdk.status import retry_after

NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z


def response(status: int, **options: object) -> Response:
    return Response(status, request=httpx.Request("GET", "https://api.example.com/x?key=1"), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "expected", "kind", "retryable"),
    [
        (301, Permanent, "permanent", False),
        (400, Permanent, "permanent", False),
        (401, AuthError, "auth", False),
        (403, PermissionMissing, "auth", False),
        (404, NotFound, "permanent", False),
        (408, Transient, "transient", True),
        (409, Permanent, "permanent", False),
        (410, NotFound, "permanent", False),
        (422, Permanent, "permanent", False),
        (425, Transient, "transient", True),
        (429, RateLimited, "rate_limited", True),
        (500, Transient, "transient", True),
        (503, Transient, "transient", True),
        (529, Transient, "transient", True),
    ],
)
def test_a_status_says_what_to_do(status: int, expected: type[IntegrationError], kind: str, retryable: bool) -> None:
    with pytest.raises(IntegrationError) as caught:
        response(status).raise_for_status()
    assert type(caught.value) is expected
    assert (caught.value.kind, caught.value.retryable) == (kind, retryable)
    assert "api.example.com" in caught.value.message
    assert "key=1" not in caught.value.message


def test_a_good_answer_comes_back_from_raise_for_status() -> None:
    good = response(201)
    assert good.raise_for_status() is good


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "30"}, 30.0),
        ({"Retry-After": " 1.5 "}, 1.5),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "-5"}, 0.0),
        ({"Retry-After": "999999999"}, 3600.0),
        ({"Retry-After": "Thu, 01 Jan 2026 12:01:00 GMT"}, 60.0),
        ({"Retry-After": "Thu, 01 Jan 2026 11:00:00 GMT"}, 0.0),
        ({"Retry-After": "Fri, 01 Jan 9999 11:00:00 GMT"}, 3600.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After-Ms": "250", "Retry-After": "30"}, 0.25),
        ({"Retry-After-Ms": "x", "Retry-After": "30"}, 30.0),
    ],
)
def test_retry_after_is_read_as_seconds_milliseconds_or_a_date_and_capped(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after(httpx.Headers(headers), now=NOON) == seconds


def test_the_pause_asked_for_is_on_the_error() -> None:
    error = response(429, headers={"Retry-After": "7"}).error("Slow down")
    assert isinstance(error, RateLimited)
    assert (error.message, error.retry_after) == ("Slow down", 7.0)


def test_the_detail_is_the_beginning_of_the_answer() -> None:
    assert response(500, content=b"x" * 5000).error().detail == "x" * 500


@pytest.mark.parametrize(("pause", "seconds"), [(1.25, 1.25), (0, 0), (-3, 0), (1e12, 3600), (None, 7)])
def test_the_pause_that_a_provider_names_in_the_body_comes_before_the_header(
    pause: float | None, seconds: float
) -> None:
    error = response(429, headers={"Retry-After": "7"}).error("Slow down", pause=pause)
    assert isinstance(error, RateLimited)
    assert error.retry_after == seconds
