"""Who is told what and when, by tables: no database and no clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestrator.alerts import messages
from orchestrator.alerts.kinds import Event, Status
from orchestrator.alerts.telling import Listener, Standing, Told, due, next_message_at

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
AGO = NOW - timedelta(minutes=10)
MINUTE = timedelta(minutes=1)
EARS = Listener(events=frozenset(Event), workflows=None, quiet=timedelta(hours=1), since=NOW - timedelta(days=9))


def standing(event: Event = Event.RUN_FAILED, **more: Any) -> Standing:
    given = {"firing": True, "fired_at": AGO, "last_at": AGO, "resolved_at": None, "count": 0, **more}
    return Standing(alert_id=1, event=event, workflow_id=7, **given)


def told(minutes: int, **more: Any) -> Told:
    return Told(at=NOW - minutes * MINUTE, **{"firing": True, "fired_at": AGO, "count": 0, **more})


HOUR_AGO = {"fired_at": NOW - 90 * MINUTE, "last_at": NOW - MINUTE}
WELL = {"firing": False, "resolved_at": NOW - MINUTE}


@pytest.mark.parametrize(
    ("now", "before", "expected"),
    [
        (standing(), None, Status.FIRING),
        (standing(), told(5), None),
        (standing(**HOUR_AGO), told(70, fired_at=NOW - 90 * MINUTE), Status.STILL),
        (standing(**HOUR_AGO), told(50, fired_at=NOW - 90 * MINUTE), None),
        (standing(fired_at=NOW - 90 * MINUTE, last_at=NOW - 80 * MINUTE), told(70, fired_at=NOW - 90 * MINUTE), None),
        (standing(), told(5, fired_at=NOW - 300 * MINUTE), Status.FIRING),
        (standing(**WELL), told(5), Status.RESOLVED),
        (standing(**WELL), told(5, firing=False), None),
        (standing(**WELL), told(5, fired_at=NOW - 300 * MINUTE), Status.RESOLVED),
        (standing(**WELL), told(5, fired_at=NOW - 300 * MINUTE, firing=False), Status.OVER),
        (standing(**WELL), None, Status.OVER),
        (standing(Event.SILENT), None, Status.FIRING),
        (standing(Event.SILENT, **HOUR_AGO), told(70, fired_at=NOW - 90 * MINUTE), None),
        (standing(Event.SILENT, **WELL), None, None),
        (standing(Event.MISSED, firing=False, count=2), None, Status.HAPPENED),
        (standing(Event.MISSED, firing=False, count=2), told(70, count=2), None),
        (standing(Event.MISSED, firing=False, count=3), told(70, count=2), Status.HAPPENED),
        (standing(Event.MISSED, firing=False, count=3), told(5, count=2), None),
        (standing(last_at=NOW - timedelta(days=10), fired_at=NOW - timedelta(days=10)), None, None),
    ],
)
def test_what_is_said_of_an_alert(now: Standing, before: Told | None, expected: Status | None) -> None:
    items = due(EARS, [now], {1: before} if before else {}, NOW)
    assert [item.status for item in items] == ([expected] if expected else [])


def test_the_worst_comes_first() -> None:
    alerts = [
        standing(**WELL),
        Standing(**{**vars_of(standing()), "alert_id": 2}),
    ]
    found = due(EARS, alerts, {1: told(5)}, NOW)
    assert [item.status for item in found] == [Status.FIRING, Status.RESOLVED]


def vars_of(given: Standing) -> dict[str, Any]:
    return {name: getattr(given, name) for name in given.__dataclass_fields__}


def test_a_channel_hears_at_most_a_few_times_an_hour_whatever_happens() -> None:
    sent: list[datetime] = []
    for second in range(0, 6 * 3_600, 10):
        now = NOW + timedelta(seconds=second)
        at = next_message_at([moment for moment in sent if moment > now - timedelta(hours=1)])
        if at is None or at <= now:
            sent.append(now)
    by_hour = [sum(NOW + timedelta(hours=h) <= at < NOW + timedelta(hours=h + 1) for at in sent) for h in range(6)]
    assert max(by_hour) <= 8
    assert min(by_hour) >= 4
    assert sent[:2] == [NOW, NOW + MINUTE]


def item(**more: Any) -> dict[str, Any]:
    named = {"id": "1", "slug": "x", "name": "Orders"}
    given = {"event": "run_failed", "status": "firing", "workflow": named, "credential": None, "since": None}
    return {**given, "count": 3, "causes": [], "text": "", "url": "/w/acme/", **more}


def document(*items: dict[str, Any], tenant: str = "Acme") -> dict[str, Any]:
    return {"tenant": {"slug": "acme", "name": tenant}, "url": "/a/", "items": list(items), "more": 0}


@pytest.mark.parametrize("event", list(Event))
def test_there_are_words_for_whatever_can_be_said(event: Event) -> None:
    lasting = [Status.FIRING, Status.RESOLVED]
    statuses = {
        Event.RUN_FAILED: [*lasting, Status.STILL, Status.OVER],
        Event.SILENT: lasting,
        Event.CREDENTIAL: lasting,
        Event.TRIGGER: lasting,
    }
    for status in statuses.get(event, [Status.HAPPENED]):
        found = document(item(event=event.value, status=status.value))
        assert "Orders" in messages.text(found)
        assert "Orders" in messages.subject(found)


@pytest.mark.parametrize(
    "name",
    ["a\r\nBcc: evil@x.com", "=?utf-8?q?hi=0ABcc=3A_evil=40x.com?=", "=?utf-8?b?aGkKQmNjOiBldmlsQHguY29t?=", "x" * 500],
)
def test_a_subject_is_one_line_of_visible_letters(name: str) -> None:
    found = messages.subject(document(item(workflow={"name": name}), tenant=name))
    assert found.isprintable()
    assert "=?" not in found
    assert len(found) <= 150


def test_slack_reads_no_mention_in_what_others_wrote() -> None:
    cause = {"step": "a", "message": "<!channel> & <http://evil.example|click>", "count": 1, "url": "/r/"}
    found = messages.slack_text(document(item(causes=[cause])))
    assert "<" not in found
    assert "&lt;!channel&gt; &amp; " in found
