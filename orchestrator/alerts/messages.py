"""A message as data, and as text. The data is what a webhook gets; mail and Slack get the text.

``{"tenant": {"slug", "name"}, "url", "items": [item…], "more"}``, an item being
``{"event", "status", "workflow": {"id", "slug", "name"} | null, "credential": {"id", "name"} | null,
"trigger": key | null, "since", "count", "causes": [{"step", "message", "count", "url"}], "text", "url"}``: ``status``
is firing, still_firing, resolved, over or happened; ``count`` how many runs failed, or how often it happened, and of a
cause how many of the newest hundred; ``more`` how many items are left out. No inputs, outputs or secrets are in it: an
error's text is the one that pages show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from orchestrator.alerts.kinds import Event, Status

MOST_ITEMS: Final = 50
MOST_CAUSES: Final = 3
# The newest failures of a workflow, whose causes are told.
LOOKED_INTO: Final = 100
CAUSE_CHARACTERS: Final = 200
_SUBJECT_CHARACTERS: Final = 150


def test_document(tenant: Mapping[str, str], url: str) -> dict[str, Any]:
    """Return the data of a message that only tries a channel."""
    return {"tenant": dict(tenant), "url": url, "items": [], "more": 0}


def subject(document: Mapping[str, Any]) -> str:
    """Return one line for a mail's subject: visible characters only, and nothing that reads as an encoded word."""
    return one_line(f"[{document['tenant']['name']}] {headline(document)}")[:_SUBJECT_CHARACTERS]


def one_line(text: str) -> str:
    """Return a text for a header: what is not visible becomes a space, and no encoded word is left (RFC 2047)."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(shown.replace("=?", "= ?").replace("?=", "? =").split())


def headline(document: Mapping[str, Any]) -> str:
    """Return what a message says, in one sentence: of the worst there is."""
    items = document["items"]
    if not items:
        return _("A test message: alerts arrive here")
    worst = next(status for status in Status if any(item["status"] == status for item in items))
    of_it = [item for item in items if item["status"] == worst]
    first = _sentence(of_it[0])
    others = len(items) - 1 + document["more"]
    if not others:
        return first
    return _("%(first)s, and %(others)s") % {
        "first": first,
        "others": ngettext("%(count)d more thing", "%(count)d more things", others) % {"count": others},
    }


def text(document: Mapping[str, Any]) -> str:
    """Return the whole message as plain text, with links."""
    return "\n".join(_lines(document))


def slack_text(document: Mapping[str, Any]) -> str:
    """Return the message for Slack, in which nothing mentions anybody or becomes a link of its own."""
    whole = f"{headline(document)}\n{text(document)}" if document["items"] else text(document)
    # Source: Slack's page on formatting text, "Escaping text".
    return whole.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    if not document["items"]:
        yield _("This is a test message of %(tenant)s. Alerts of this channel arrive here.") % {
            "tenant": document["tenant"]["name"]
        }
    for item in document["items"]:
        yield f"{_MARKS[Status(item['status'])]} {_sentence(item)}"
        if item["text"]:
            yield f"  {item['text']}"
        if item["causes"] and item["count"] > LOOKED_INTO:
            yield "  " + _("Of the newest %(count)d:") % {"count": LOOKED_INTO}
        for cause in item["causes"]:
            place = _("at “%(step)s”: %(message)s") if cause["step"] else "%(message)s"
            yield f"  {cause['count']:,} × {place % {'step': cause['step'], 'message': cause['message']}}"
            yield f"    {cause['url']}"
        yield f"  {item['url']}"
        yield ""
    if document["more"]:
        yield _("%(count)d more are not listed here.") % {"count": document["more"]}
        yield ""
    yield _("Alerts of %(tenant)s: %(url)s") % {"tenant": document["tenant"]["name"], "url": document["url"]}


_MARKS: Final[Mapping[Status, str]] = {
    Status.FIRING: "✗",
    Status.STILL: "✗",
    Status.RESOLVED: "✓",
    Status.OVER: "✓",
    Status.HAPPENED: "!",
}


def _sentence(item: Mapping[str, Any]) -> str:
    named = item["workflow"] or item["credential"] or {}
    event, status = Event(item["event"]), Status(item["status"])
    words = _SENTENCES[event, status]
    runs = ngettext("%(count)s run", "%(count)s runs", item["count"]) % {"count": f"{item['count']:,}"}
    return words() % {"name": named.get("name", ""), "count": item["count"], "runs": runs}


_SENTENCES: Final[Mapping[tuple[Event, Status], Callable[[], str]]] = {
    (Event.RUN_FAILED, Status.FIRING): lambda: _("%(name)s is failing (%(runs)s)"),
    (Event.RUN_FAILED, Status.STILL): lambda: _("%(name)s is still failing (%(runs)s more)"),
    (Event.RUN_FAILED, Status.RESOLVED): lambda: _("%(name)s works again"),
    (Event.RUN_FAILED, Status.OVER): lambda: _("%(name)s failed (%(runs)s) and works again"),
    (Event.SILENT, Status.FIRING): lambda: _("%(name)s is silent"),
    (Event.SILENT, Status.RESOLVED): lambda: _("%(name)s is not silent any more"),
    (Event.CREDENTIAL, Status.FIRING): lambda: _("The credential %(name)s needs somebody"),
    (Event.CREDENTIAL, Status.RESOLVED): lambda: _("The credential %(name)s is in order again"),
    (Event.TRIGGER, Status.FIRING): lambda: _("A trigger of %(name)s fails"),
    (Event.TRIGGER, Status.RESOLVED): lambda: _("A trigger of %(name)s works again"),
    (Event.MISSED, Status.HAPPENED): lambda: _("%(name)s missed times of its schedule (%(count)d)"),
    (Event.RETURNED, Status.HAPPENED): lambda: _("%(name)s went back to an earlier version by itself"),
}
