"""Every way in which a request of an action can fail: what each becomes, for each of its requests, and no secret in it.

The answers before the one that fails are those of the recorded exchange. No socket is opened: what is played is the
wire.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Final

import httpx
import pytest

from integrations.registry import registry
from integrations.sdk import Action, IntegrationError
from integrations.sdk.client import MAX_BYTES
from tests.contract.recorded import EXCHANGES
from tests.contract.test_every_action import assert_clean, every_request, inputs_for, run

Answers = Callable[[httpx.Request], Any]
_HUGE: Final = gzip.compress(bytes(MAX_BYTES + 1))


@dataclass(frozen=True, kw_only=True)
class Row:
    """A failure, the kinds that it may become, and the seconds after which it is tried again, where it says so."""

    name: str
    answer: Answers
    kinds: frozenset[str]
    retryable: bool | None = False
    pause: tuple[float, float] | None = None
    # Answers 200, so what is good about it only the provider's own reading can tell.
    is_ok: bool = False


def kinds(*names: str) -> frozenset[str]:
    return frozenset(names)


def echoing(status: int, **headers: str) -> Answers:
    """Answer with a status and everything that came, as a careless server does."""

    def answer(request: httpx.Request) -> httpx.Response:
        told = f"{request.url} {request.headers.multi_items()}"
        body = {"ok": False, "message": told, "description": told, "error": {"message": told, "code": told}}
        return httpx.Response(status, json=body, headers={"X-Echo": told, **headers})

    return answer


def html(status: int) -> Answers:
    return lambda request: httpx.Response(status, html=f"<html><title>{request.url}</title></html>")


def raising(error: type[httpx.TransportError]) -> Answers:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error(f"{request.url} {request.headers.multi_items()}")

    return answer


async def silent(request: httpx.Request) -> httpx.Response:
    """Answer nothing until the step's time is over, which is at once."""
    raise TimeoutError


def dated(seconds: float) -> Answers:
    """Answer 429 with a date to wait for."""
    return lambda request: echoing(
        429, **{"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)}
    )(request)


REFUSED: Final = kinds("permanent", "input", "auth")
# What was sent and not answered: it depends on what was asked for whether that may be sent again.
LOST: Final = kinds("transient", "outcome_unknown")
LATE: Final = kinds("timeout", "outcome_unknown")
ROWS: Final = (
    Row(name="400", answer=echoing(400), kinds=REFUSED),
    Row(name="401", answer=echoing(401), kinds=kinds("auth")),
    Row(name="403", answer=echoing(403), kinds=kinds("auth", "permanent")),
    Row(name="403 in HTML", answer=html(403), kinds=kinds("auth", "permanent")),
    Row(name="404", answer=echoing(404), kinds=REFUSED),
    Row(name="404 in HTML", answer=html(404), kinds=REFUSED),
    Row(name="422", answer=echoing(422), kinds=REFUSED),
    Row(name="429, seconds", answer=echoing(429, **{"Retry-After": "17"}), kinds=kinds("rate_limited"), retryable=True,
        pause=(17, 17)),
    Row(name="429, date", answer=dated(90), kinds=kinds("rate_limited"), retryable=True, pause=(80, 90)),
    Row(name="429, a year", answer=echoing(429, **{"Retry-After": "31536000"}), kinds=kinds("rate_limited"),
        retryable=True, pause=(3600, 3600)),
    Row(name="429 in HTML", answer=html(429), kinds=kinds("rate_limited"), retryable=True),
    Row(name="500", answer=echoing(500), kinds=kinds("transient"), retryable=True),
    Row(name="503 with a pause", answer=echoing(503, **{"Retry-After": "5"}), kinds=kinds("transient"), retryable=True,
        pause=(5, 5)),
    Row(name="504 in HTML", answer=html(504), kinds=kinds("transient"), retryable=True),
    Row(name="half of a JSON", answer=lambda _: httpx.Response(200, content=b'{"ok": tru'), kinds=kinds("permanent"),
        is_ok=True),
    Row(name="HTML", answer=html(200), kinds=kinds("permanent"), is_ok=True),
    Row(name="empty", answer=lambda _: httpx.Response(200), kinds=kinds("permanent"), is_ok=True),
    Row(name="huge", kinds=kinds("permanent"),
        answer=lambda _: httpx.Response(200, content=_HUGE, headers={"Content-Encoding": "gzip"})),
    Row(name="broken compression", kinds=kinds("permanent"),
        answer=lambda _: httpx.Response(200, stream=httpx.ByteStream(b"no"), headers={"Content-Encoding": "gzip"})),
    Row(name="not connected", answer=raising(httpx.ConnectError), kinds=kinds("transient"), retryable=True),
    Row(name="reset", answer=raising(httpx.ReadError), kinds=LOST, retryable=None),
    Row(name="lost", answer=raising(httpx.RemoteProtocolError), kinds=LOST, retryable=None),
    Row(name="slow", answer=silent, kinds=LATE, retryable=None),
)  # fmt: skip


# What is no failure of the action: a message that is deleted between the search and its reading is left out.
PASSES: Final = {("gmail.searchMessages", 1): {"404", "404 in HTML"}}


def wrong(action: Action, at: int, row: Row) -> str:
    """Return what is wrong with how an action takes a failure, empty where nothing is."""
    try:
        run(action, row.answer, at=at)
    except IntegrationError as error:
        assert_clean(error, error.message, error.hint, error.detail, vars(error), error.__cause__)
        return _misjudged(error, action, at, row)
    except Exception as error:
        return f"raised {error!r}"
    return "was taken for a success"


def _misjudged(error: IntegrationError, action: Action, at: int, row: Row) -> str:
    if error.kind not in row.kinds:
        return f"became {error.kind}: {error.message}"
    if row.retryable is not None and error.retryable is not row.retryable:
        return f"may be tried again: {error.retryable}"
    if not error.message or len(error.message) > 2_000:
        return f"has the message {error.message!r}"
    if row.pause is not None:
        after = getattr(error, "retry_after", None)
        if after is None or not row.pause[0] <= after <= row.pause[1]:
            return f"is tried again after {after} s"
    is_last = at == len(EXCHANGES[action.key].before)
    if row.retryable is None and is_last:
        repeatable = action.repeatable(action.validate_inputs(inputs_for(action)))
        if (error.kind == "outcome_unknown") is repeatable:
            return f"became {error.kind} although the call is {'safe' if repeatable else 'not safe'} to repeat"
    return ""


@every_request
def test_each_failure_of_a_request_becomes_what_it_is(action: Action, at: int) -> None:
    takes_any = action.any_provider or EXCHANGES[action.key].is_content(at)
    passed = PASSES.get((action.key, at), set())
    rows = [row for row in ROWS if not (row.is_ok and takes_any) and row.name not in passed]
    found = {row.name: wrong(action, at, row) for row in rows}
    assert {name: what for name, what in found.items() if what} == {}


def test_every_action_that_speaks_http_is_asked() -> None:
    assert {action.key for action in registry.actions() if action.http} <= set(EXCHANGES)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_that_is_a_success_would_be_found(row: Row) -> None:
    """The suite itself: an action that takes everything for good, and one that knows no kinds, are found out."""
    declared = registry.get("http.request")
    assert declared is not None
    fails = Row(name=row.name, answer=lambda _: httpx.Response(200, json={}), kinds=row.kinds)
    assert wrong(declared, 0, fails) == "was taken for a success"
    assert wrong(declared, 0, Row(name=row.name, answer=echoing(418), kinds=kinds("auth"))).startswith("became")
