"""The short way of webhooks answers what is plain exactly as the long way does, and nothing that has changed."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from django.db import OperationalError
from django.test import RequestFactory, override_settings

from orchestrator.ids import new_id
from orchestrator.workflows.addresses import trigger_address
from orchestrator.workflows.models import Trigger, Workflow
from orchestrator.wsgi import Handler, with_length
from runs.models import Run
from runs.triggers import accepting, addresses, shortcut
from runs.triggers import intake as intake_module
from runs.triggers.addresses import Known, find_address
from runs.triggers.intake import Intake
from runs.triggers.requests import MAX_BODY_BYTES
from runs.triggers.shortcut import MOST_BYTES, Shortcut
from tests.triggers.conftest import Answer, handler, path, runs, seen, served

pytestmark = pytest.mark.django_db(transaction=True)


class Watched:
    """The application behind the shortcut, and how often it was asked."""

    def __init__(self, application: Any) -> None:
        self.application, self.asked = application, 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.asked += 1
        answered: Iterable[bytes] = self.application(environ, start_response)
        return answered


@pytest.fixture
def long() -> Watched:
    return Watched(handler())


@pytest.fixture(autouse=True)
def _unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with a process that knows no address."""
    monkeypatch.setattr(accepting, "known", Known())


@pytest.fixture
def short(long: Watched) -> Any:
    return with_length(Shortcut(long), most=MAX_BODY_BYTES)


@pytest.fixture
def learnt(short: Any, long: Watched, hook: Trigger) -> Trigger:
    """A webhook whose first request was accepted on the long way."""
    assert served(short, hook).status_code == 202
    assert long.asked == 1
    long.asked = 0
    Run.unscoped.all().delete()
    return hook


def without_reference(answer: Answer) -> list[tuple[str, str]]:
    assert len(answer["X-Request-ID"]) == 10
    return sorted((name.lower(), value) for name, value in answer.headers if name != "X-Request-ID")


def test_from_the_second_request_on_the_framework_is_not_asked(learnt: Trigger, short: Any, long: Watched) -> None:
    answer = served(short, learnt, b'{"a": 1}', query="?x=1&x=2", headers={"X-Event": "made"})
    (run,) = runs(learnt)
    assert (answer.status_code, answer.json(), long.asked) == (202, {"id": str(run.pk), "status": "queued"}, 0)
    document = seen(learnt)
    assert (document["body"], document["query"]) == ({"a": 1}, {"x": ["1", "2"]})
    assert document["headers"]["x-event"] == "made"


def test_both_ways_answer_with_the_same_headers(hook: Trigger, short: Any, long: Watched) -> None:
    first, second = served(short, hook), served(short, hook)
    assert long.asked == 1
    assert without_reference(first) == without_reference(second)
    assert first["X-Request-ID"] != second["X-Request-ID"]
    assert [name for name, _ in second.headers].count("Content-Length") == 1
    assert int(second["Content-Length"]) == len(second.content)


def test_both_ways_keep_the_same_of_a_request(hook: Trigger, short: Any, long: Watched) -> None:
    headers = {"X-Event": "ü", "Cookie": "a=b", "Authorization": "Bearer x", "Idempotency-Key": "1"}
    documents = []
    for _ in range(2):
        served(short, hook, b'{"a": [1, 2.5, null, "\xc3\xbc"]}', "application/json; charset=utf-8", headers=headers)
        document = seen(hook)
        document.pop("received_at")
        documents.append((document, runs(hook)[0].dedupe_key))
        Run.unscoped.all().delete()
    assert long.asked == 1
    assert documents[0] == documents[1]


def test_a_repeated_delivery_is_answered_without_the_framework(learnt: Trigger, short: Any, long: Watched) -> None:
    answers = [served(short, learnt, headers={"Idempotency-Key": "1"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 200]
    assert answers[0].json()["id"] == answers[1].json()["id"]
    assert long.asked == 0


def test_chunks_are_taken_on_the_short_way(learnt: Trigger, short: Any, long: Watched) -> None:
    environ = RequestFactory().post(path(learnt), content_type="application/json").environ
    environ.update({"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input": io.BytesIO(b'{"a": 1}')})
    del environ["CONTENT_LENGTH"]
    assert Answer(short, environ).status_code == 202
    assert (seen(learnt)["body"], long.asked) == ({"a": 1}, 0)


def switch_off(hook: Trigger) -> None:
    Workflow.unscoped.update(enabled=False)


def unpublish(hook: Trigger) -> None:
    Workflow.unscoped.update(published_version=None)


def take_another_method(hook: Trigger) -> None:
    Trigger.unscoped.filter(pk=hook.pk).update(live_config={"methods": ["PUT"]})


def make_a_form_of_it(hook: Trigger) -> None:
    Trigger.unscoped.filter(pk=hook.pk).update(type="form")


def delete(hook: Trigger) -> None:
    Trigger.unscoped.filter(pk=hook.pk).delete()


@pytest.mark.parametrize(
    ("change", "status", "started"),
    [
        (switch_off, 409, 0),
        (unpublish, 200, 0),
        (take_another_method, 405, 0),
        (make_a_form_of_it, 404, 0),
        (delete, 404, 0),
    ],
)
def test_a_change_acts_on_the_very_next_request(
    change: Callable[[Trigger], None], status: int, started: int, learnt: Trigger, short: Any
) -> None:
    change(learnt)
    assert served(short, learnt).status_code == status
    assert len(runs(learnt)) == started


def test_what_is_published_anew_runs_from_the_very_next_request(learnt: Trigger, short: Any, long: Watched) -> None:
    version = learnt.workflow.published_version
    assert version is not None
    version.pk, version.number = new_id(), 2
    version._state.adding = True
    version.save()
    Workflow.unscoped.update(published_version=version)
    assert [served(short, learnt).status_code for _ in range(2)] == [202, 202]
    assert {run.version_id for run in runs(learnt)} == {version.pk}
    assert long.asked == 1


def test_a_change_between_the_look_and_the_insert_is_seen(
    learnt: Trigger, short: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The long way looks again: what it found first was true when it looked."""
    really = find_address
    looks = []

    def find(token: str) -> Any:
        found = really(token)
        looks.append(token)
        if len(looks) == 1:
            switch_off(learnt)
        return found

    from runs.triggers import hooks

    accepting.known.forget(find_address(trigger_address(learnt)))  # type: ignore[arg-type]
    monkeypatch.setattr(hooks, "find_address", find)
    assert served(short, learnt).status_code == 409
    assert (len(looks), runs(learnt)) == (2, [])


def test_two_requests_in_one_batch_that_know_different_things_are_told_apart(hook: Trigger) -> None:
    before = find_address(trigger_address(hook))
    Trigger.unscoped.filter(pk=hook.pk).update(live_config={"methods": ["PUT", "POST"]})
    now = find_address(trigger_address(hook))
    assert before is not None
    assert now is not None
    batch = [accepting.arrival_of(address, "{}", delivery=None) for address in (before, now, before)]
    outcomes = intake_module._insert_all(batch)
    assert [type(outcome).__name__ for outcome in outcomes] == ["Moved", "Kept", "Moved"]
    assert [run.pk for run in runs(hook)] == [batch[1].run_id]


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"NaN", "application/json", 400),
        (b"x" * (MOST_BYTES + 1), "text/plain", 202),
        (b"[" * 63 + b"]" * 63, "application/json", 202),
        (b"[" * 65 + b"]" * 65, "application/json", 400),
        (
            b'--x\r\nContent-Disposition: form-data; name="n"\r\n\r\n1\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
            202,
        ),
        (b"<a/>", "text/xml", 202),
    ],
)
def test_what_is_not_plain_goes_the_long_way_with_its_body(
    body: bytes, content_type: str, status: int, learnt: Trigger, short: Any, long: Watched
) -> None:
    assert served(short, learnt, body, content_type).status_code == status
    assert long.asked == 1
    assert len(runs(learnt)) == (status == 202)


def test_a_body_that_broke_off_is_refused(learnt: Trigger, short: Any, long: Watched) -> None:
    answer = served(short, learnt, b'{"a": ', CONTENT_LENGTH="100")
    assert (answer.status_code, answer.json()["error"]["code"], long.asked) == (400, "incomplete", 1)
    assert runs(learnt) == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "BREW"])
def test_a_method_that_is_not_taken_goes_the_long_way(method: str, learnt: Trigger, short: Any, long: Watched) -> None:
    assert served(short, learnt, method=method).status_code == 405
    assert (long.asked, runs(learnt)) == (1, [])


@pytest.mark.parametrize(
    "config",
    [
        {"signature": {"preset": "github", "credential": "secret"}},
        {"filter": "{{ trigger.body.a }}"},
        {"dedupe": "X-Delivery"},
        {"response": "output", "timeout": 0.05},
        {"something": "new"},
    ],
)
def test_an_address_that_asks_for_more_than_methods_always_goes_the_long_way(
    config: dict[str, Any], make_hook: Callable[..., Trigger], short: Any, long: Watched
) -> None:
    hook = make_hook(config)
    for _ in range(3):
        served(short, hook)
    assert long.asked == 3


def test_a_host_that_is_not_ours_is_refused_although_the_address_is_known(
    learnt: Trigger, short: Any, long: Watched
) -> None:
    assert served(short, learnt, HTTP_HOST="evil.example").status_code == 400
    assert (long.asked, runs(learnt)) == (1, [])


@override_settings(SECURE_SSL_REDIRECT=True, SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"))
def test_behind_https_a_plain_request_is_sent_to_https_although_the_address_is_known(hook: Trigger) -> None:
    long = Watched(Handler())
    short = Shortcut(long)
    assert served(short, hook, HTTP_X_FORWARDED_PROTO="https").status_code == 202
    assert served(short, hook, HTTP_X_FORWARDED_PROTO="https").status_code == 202
    assert long.asked == 1
    for proto in ({"HTTP_X_FORWARDED_PROTO": "http"}, {"HTTP_X_FORWARDED_PROTO": "http, https"}, {}):
        answer = served(short, hook, **proto)
        assert (answer.status_code, answer["Location"][:8]) == (301, "https://")
    assert len(runs(hook)) == 2


@override_settings(SECURE_HSTS_SECONDS=60, SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"))
def test_headers_are_those_of_the_same_scheme(hook: Trigger) -> None:
    short = Shortcut(Handler())
    protos: list[dict[str, Any]] = [{"HTTP_X_FORWARDED_PROTO": "https"}, {}] * 2
    answers = [served(short, hook, **proto) for proto in protos]
    assert ["Strict-Transport-Security" in answer for answer in answers] == [True, False, True, False]


def test_hosts_without_end_do_not_fill_the_memory(hook: Trigger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortcut, "_MOST_DOORS", 3)
    door = Shortcut(handler())
    for port in range(8_000, 8_010):
        assert served(door, hook, HTTP_HOST=f"127.0.0.1:{port}").status_code == 202
    assert len(door._headers) <= 3


def test_addresses_without_end_do_not_fill_the_memory(hook: Trigger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "MOST_REMEMBERED", 3)
    address = find_address(trigger_address(hook))
    assert address is not None
    known = Known()
    for number in range(10):
        known.keep(dataclasses.replace(address, digest=str(number)))
    assert len(known._found) <= 3


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], None]:
    """Return a function that makes every insert fail with an error."""

    def fail(error: Exception) -> None:
        def insert(_: Any) -> Any:
            raise error

        monkeypatch.setattr(intake_module, "_insert_all", insert)

    return fail


def test_what_cannot_be_kept_is_503_once_and_not_tried_a_second_time(
    learnt: Trigger, short: Any, long: Watched, broken: Callable[[Exception], None]
) -> None:
    broken(OperationalError("connection to server at db.internal failed: secret"))
    answer = served(short, learnt)
    assert (answer.status_code, answer["Retry-After"], long.asked) == (503, "5", 0)
    assert answer.json()["error"]["code"] == "unavailable"
    assert b"secret" not in answer.content
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_a_fault_of_ours_is_500_with_the_reference_that_the_log_has(
    learnt: Trigger, short: Any, long: Watched, broken: Callable[[Exception], None], caplog: pytest.LogCaptureFixture
) -> None:
    broken(ValueError("a secret"))
    answer = served(short, learnt)
    assert (answer.status_code, answer.json()["error"]["code"], long.asked) == (500, "internal", 0)
    assert b"secret" not in answer.content
    assert any("could not be kept" in record.message and record.exc_info for record in caplog.records)


def test_the_intake_of_a_process_confirms_what_it_inserts(learnt: Trigger) -> None:
    address = find_address(trigger_address(learnt))
    assert address is not None
    switch_off(learnt)
    own = Intake()
    try:
        with pytest.raises(intake_module.Moved):
            own.accept(accepting.arrival_of(address, "{}", delivery=None))
    finally:
        own.close()
    assert runs(learnt) == []
