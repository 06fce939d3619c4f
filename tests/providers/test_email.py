"""E-mail by IMAP, against a server on this machine: what is read, what is remembered, and what goes wrong."""

from __future__ import annotations

import asyncio
import base64
import socketserver
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

import pytest

from integrations.providers.email import message as messages
from integrations.providers.email import triggers
from integrations.providers.email.account import account
from integrations.providers.email.client import mailbox_name
from integrations.providers.email.message import parse
from integrations.providers.email.triggers import new_message
from integrations.sdk import AuthContext, AuthError, InputError, Permanent, Transient
from integrations.sdk.auth import AuthView
from integrations.sdk.dialling import dialler
from integrations.sdk.egress import AddressRefused, EgressPolicy
from integrations.sdk.testing import run_poll
from tests.imap_server import PASSWORD, USER, Box, ImapServer

AUTH = {"username": USER, "password": PASSWORD}


@pytest.fixture
def server() -> Iterator[ImapServer]:
    with ImapServer() as found:
        yield found


def dial(*, allow: tuple[str, ...] = ("127.0.0.1",), seconds: float = 5) -> Any:
    return dialler(EgressPolicy(allow=allow), egress_allow=(), deadline=datetime.now(UTC) + timedelta(seconds=seconds))


def poll(server: ImapServer, cursor: Any = None, *, auth: dict[str, str] = AUTH, **more: Any) -> Any:
    settings = {**server.settings, **more.pop("settings", {})}
    options = {"dial": dial(), "seconds": 5, **{name: more.pop(name) for name in ("dial", "seconds") if name in more}}
    return run_poll(new_message, more, cursor=cursor, auth=auth, settings=settings, **options)


def written(subject: str, **more: Any) -> bytes:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "Ada Fox <ada@example.com>", "orders@example.com", subject
    made["Message-ID"], made["Date"] = f"<{subject}@example.com>", "Mon, 04 May 2026 09:00:00 +0200"
    made.set_content(more.get("text", "Hello"))
    return made.as_bytes()


def subjects(found: Any) -> list[str]:
    return [item.data["subject"] for item in found.items]


def test_messages_that_arrive_after_the_first_look_are_given_once_each_oldest_first(server: ImapServer) -> None:
    for number in range(5):
        server.deliver(written(f"old {number}"))
    first = poll(server)
    assert subjects(first) == ["old 2", "old 3", "old 4"]
    assert subjects(poll(server, first.cursor)) == []
    server.deliver(written("new 1"))
    server.deliver(written("new 2"))
    second = poll(server, first.cursor)
    assert subjects(second) == ["new 1", "new 2"]
    assert len({item.id for item in (*first.items, *second.items)}) == 5
    third = poll(server, second.cursor)
    assert (subjects(third), third.cursor) == ([], second.cursor)


def test_an_empty_mailbox_is_no_error(server: ImapServer) -> None:
    server.boxes["INBOX"].next = 1
    server.lies["SEARCH"] = b"* SEARCH\r\n{tag} OK done\r\n"
    first = poll(server)
    assert (subjects(first), first.cursor["uid"]) == ([], 0)


def test_nothing_in_the_mailbox_changes_unless_it_is_asked_for(server: ImapServer) -> None:
    cursor = poll_empty(server)
    server.deliver(written("a"))
    poll(server, cursor)
    assert not any(command.startswith(("UID STORE", "SELECT")) for command in server.commands)
    assert server.boxes["INBOX"].seen == set()
    assert subjects(poll(server, cursor, mark_seen=True)) == ["a"]
    assert server.boxes["INBOX"].seen == {1}


def poll_empty(server: ImapServer) -> Any:
    server.lies["SEARCH"] = b"* SEARCH\r\n{tag} OK done\r\n"
    cursor = poll(server).cursor
    del server.lies["SEARCH"]
    return cursor


def test_a_mailbox_that_is_numbered_anew_and_another_account_begin_with_what_comes_then(server: ImapServer) -> None:
    cursor = poll_empty(server)
    server.deliver(written("lost in the middle"))
    server.boxes["INBOX"].validity = 8
    anew = poll(server, cursor)
    assert (subjects(anew), anew.cursor["uid"], anew.cursor["validity"]) == ([], 1, 8)
    server.deliver(written("after"))
    assert subjects(poll(server, anew.cursor)) == ["after"]
    server.boxes["Other"] = Box(validity=8)
    server.deliver(written("elsewhere"), "Other")
    assert subjects(poll(server, anew.cursor, mailbox="Other")) == []


def test_a_poll_reads_so_much_and_the_rest_soon_after(server: ImapServer, monkeypatch: pytest.MonkeyPatch) -> None:
    cursor = poll_empty(server)
    for number in range(5):
        server.deliver(written(str(number)))
    monkeypatch.setattr(triggers, "MAX_ITEMS", 3)
    first = poll(server, cursor)
    assert (subjects(first), first.more) == (["0", "1", "2"], True)
    monkeypatch.setattr(triggers, "MAX_POLL_BYTES", len(written("3")))
    second = poll(server, first.cursor)
    assert (subjects(second), second.more) == (["3"], True)
    third = poll(server, second.cursor)
    assert (subjects(third), third.more) == (["4"], False)


def test_a_message_beyond_all_bounds_comes_cut_off(server: ImapServer, monkeypatch: pytest.MonkeyPatch) -> None:
    cursor = poll_empty(server)
    monkeypatch.setattr(triggers, "MAX_MESSAGE_BYTES", 2_000)
    monkeypatch.setattr(triggers, "CUT_BYTES", 500)
    server.deliver(written("long", text="word " * 1_000))
    server.deliver(written("short"))
    long, short = (item.data for item in poll(server, cursor).items)
    assert (long["subject"], long["truncated"], long["text"][:9]) == ("long", True, "word word")
    assert len(long["text"]) < 500
    assert (short["truncated"], short["text"]) == (False, "Hello\n")


@pytest.mark.parametrize("plain", [True, False])
def test_a_refused_sign_in_is_an_auth_error(plain: bool) -> None:
    with ImapServer(plain=plain) as server, pytest.raises(AuthError, match="refused the sign-in"):
        poll(server, auth={"username": USER, "password": "wrong"})


def test_a_server_without_plain_takes_a_login_of_ascii_alone() -> None:
    with ImapServer(plain=False) as server, pytest.raises(AuthError, match="beyond ASCII"):
        poll(server)


@pytest.mark.parametrize(
    ("more", "kind", "said"),
    [
        ({"mailbox": "Nowhere"}, InputError, "no mailbox 'Nowhere'"),
        ({"dial": dial(allow=())}, AddressRefused, "loopback"),
        ({"settings": {"security": "starttls"}}, Permanent, "no STARTTLS"),
        ({"settings": {"host": ""}}, InputError, "names no mail server"),
    ],
)
def test_what_is_wrong_says_what_to_do(
    more: dict[str, Any], kind: type[Exception], said: str, server: ImapServer
) -> None:
    with pytest.raises(kind, match=said):
        poll(server, **more)


def test_a_server_that_speaks_something_else_or_nothing_is_told_apart(server: ImapServer) -> None:
    server.greeting = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    with pytest.raises((Permanent, Transient), match=r"127\.0\.0\.1"):
        poll(server)
    server.greeting = b""
    with pytest.raises(Transient):
        poll(server, seconds=0.3, dial=dial(seconds=0.3))
    server.greeting = b"* BYE too many\r\n"
    with pytest.raises((Permanent, Transient)):
        poll(server)


def test_a_server_that_sends_too_much_is_cut_off(server: ImapServer) -> None:
    cursor = poll_empty(server)
    server.deliver(written("a"))
    server.lies["FETCH"] = b"* 1 FETCH (UID 1 RFC822.SIZE 9 BODY[]<0> {99999999999}\r\n"
    with pytest.raises(Transient, match="too much"):
        poll(server, cursor)


@pytest.mark.parametrize("digits", [11, 5_000])
def test_a_number_of_thousands_of_digits_is_told(server: ImapServer, digits: int) -> None:
    cursor = poll_empty(server)
    server.deliver(written("a"))
    large = b"9" * digits
    for command, answer in (
        ("EXAMINE", b"* OK [UIDVALIDITY %s]\r\n"),
        ("EXAMINE", b"* OK [UIDNEXT %s]\r\n"),
        ("SEARCH", b"* SEARCH 1 %s\r\n"),
        ("FETCH", b"* 1 FETCH (UID %s RFC822.SIZE 9)\r\n"),
        ("FETCH", b"* 1 FETCH (UID 1 RFC822.SIZE %s)\r\n"),
        ("FETCH", b"* 1 FETCH (UID 1 BODY[]<0> {%s}\r\n"),
    ):
        server.lies = {command: answer % large + b"{tag} OK done\r\n"}
        with pytest.raises((Permanent, Transient), match=r"number of|too much|more bytes") as raised:
            poll(server, cursor)
        assert len(str(raised.value)) < 200


def test_a_server_that_sends_no_text_is_told(server: ImapServer) -> None:
    server.lies["CAPABILITY"] = b"* CAPABILITY \xff\xfe\r\n{tag} OK done\r\n"
    with pytest.raises(Permanent, match="does not answer as a mail server"):
        poll(server)


def test_names_of_mailboxes_are_written_as_imap_wants_them() -> None:
    assert mailbox_name("INBOX") == '"INBOX"'
    assert mailbox_name('a"b\\c') == '"a\\"b\\\\c"'
    assert mailbox_name("Entwürfe & mehr") == '"Entw&APw-rfe &- mehr"'
    assert mailbox_name("台北") == '"&U,BTFw-"'


def test_a_message_is_read_in_full() -> None:
    made = EmailMessage()
    made["From"] = "Ada Föx <ada@example.com>"
    made["To"] = "One <one@example.com>, two@example.com"
    made["Cc"], made["Reply-To"] = "c@example.com", "r@example.com"
    made["Subject"], made["Date"] = "Grüße 🎉", "Mon, 04 May 2026 09:00:00 +0200"
    made["Message-ID"], made["In-Reply-To"] = "<1@example.com>", "<0@example.com>"
    made.set_content("Hällo\nthere")
    made.add_alternative("<p>Hällo</p>", subtype="html")
    made.add_attachment(b"\x00\x01", maintype="application", subtype="octet-stream", filename="ä.bin")
    made.add_attachment(written("inner"), maintype="application", subtype="x-mail", filename="m.eml")
    found = parse(made.as_bytes(), mailbox="INBOX", uid=3).model_dump(mode="json", by_alias=True)
    assert found["from"] == {"name": "Ada Föx", "address": "ada@example.com"}
    assert [each["address"] for each in found["to"]] == ["one@example.com", "two@example.com"]
    assert (found["subject"], found["date"]) == ("Grüße 🎉", "2026-05-04T07:00:00+00:00")
    assert (found["text"], found["html"]) == ("Hällo\nthere\n", "<p>Hällo</p>\n")
    assert (found["id"], found["in_reply_to"], found["cc"][0]["address"]) == (
        "<1@example.com>", "<0@example.com>", "c@example.com",
    )  # fmt: skip
    first, _second = found["attachments"]
    content = base64.b64encode(b"\x00\x01").decode()
    assert first == {"name": "ä.bin", "type": "application/octet-stream", "size": 2, "content": content}
    without = parse(made.as_bytes(), mailbox="INBOX", uid=3, attachments=False)
    assert [(each.size > 0, each.content) for each in without.attachments] == [(True, None), (True, None)]


def test_attachments_beyond_the_bound_stay_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "MAX_ATTACHMENTS", 10)
    made = EmailMessage()
    made.set_content("x")
    for size in (8, 8, 2):
        made.add_attachment(b"a" * size, maintype="image", subtype="png", filename=f"{size}.png")
    found = parse(made.as_bytes(), mailbox="INBOX", uid=1).attachments
    assert [(each.size, each.content is None) for each in found] == [(8, False), (8, True), (2, False)]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe\x00",
        b"Subject: =?utf-8?q?=ff=fe?=\r\nFrom: <<>>,;\r\nTo: a b c@@\r\nDate: never\r\n\r\nbody",
        b"Content-Type: text/plain; charset=no-such-thing\r\n\r\ncaf\xc3\xa9",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\nno part",
        b"Content-Type: multipart/mixed\r\n\r\n--x\r\n\r\na",
        b"Content-Type: multipart/alternative; boundary=x\r\nContent-Transfer-Encoding: base64\r\n\r\n--x\r\n\r\n!!",
        b"Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nx",
        b"".join(f"Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n".encode() for n in range(300)),
    ],
)
def test_a_broken_message_is_read_as_far_as_it_goes(raw: bytes) -> None:
    found = parse(raw, mailbox="INBOX", uid=1).model_dump(mode="json", by_alias=True)
    assert isinstance(found["subject"], str)
    assert isinstance(found["attachments"], list)


@pytest.mark.parametrize(
    ("parts", "header", "is_whole"),
    [
        (30, b"Content-Type: text/x; " + b"a=b; " * 3_800, True),
        (120, b"Content-Type: text/x; name=a.txt; " + b"a*0=b; " * 300, True),
        (300, b"Content-Type: text/x\r\nContent-Disposition: attachment", False),
        (100_000, b"", False),
    ],
)
def test_a_message_of_many_parts_and_parameters_takes_no_longer_than_it_is_worth(
    parts: int, header: bytes, is_whole: bool
) -> None:
    raw = (
        b"Subject: Hi\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        + (b"--b\r\n" + header + b"\r\n\r\nx\r\n") * parts
    )
    began = time.process_time()
    found = parse(raw, mailbox="INBOX", uid=1)
    assert time.process_time() - began < 5
    assert (found.subject, found.truncated, len(found.attachments)) == ("Hi", not is_whole, min(parts, 100) * is_whole)


@pytest.mark.parametrize("depth", [150, 1_500])
def test_parts_in_parts_without_end_hold_up_no_mailbox(depth: int) -> None:
    parts = "".join(f'Content-Type:\n multipart/mixed; boundary="b{at}"\n\n--b{at}\n' for at in range(depth))
    begun = time.process_time()
    raw = f"Subject: Deep\nFrom: ada@example.com\n{parts}\nx".encode() + b"\n" * 500_000
    found = parse(raw, mailbox="INBOX", uid=1)
    assert (found.subject, found.sender.address, found.attachments) == ("Deep", "ada@example.com", [])
    assert found.truncated
    assert time.process_time() - begun < 4


def test_a_header_that_is_long_costs_no_more_than_a_usual_one() -> None:
    begun = time.process_time()
    raw = b"Subject: Long\nContent-Type: text/plain; " + b"a=b; " * 100_000 + b"\n\nIt is here."
    assert (found := parse(raw, mailbox="INBOX", uid=1)).subject == "Long"
    assert found.text == "It is here."
    assert time.process_time() - begun < 20


def check(port: int, password: str = PASSWORD) -> str:
    settings = {"host": "127.0.0.1", "port": port, "security": "none"}
    auth = AuthView({"provider": "email", "type": "basic", "username": USER, "password": password})
    context = AuthContext(auth=auth, http=None, settings=settings, dial=dial())  # type: ignore[arg-type]
    return asyncio.run(account(context)).label


def test_a_credential_is_checked_by_signing_in_to_whichever_server_it_names(server: ImapServer) -> None:
    assert check(server.port) == USER
    with pytest.raises(AuthError):
        check(server.port, "wrong")
    with _Smtp(("127.0.0.1", 0), _SmtpSession) as smtp:
        threading.Thread(target=smtp.serve_forever, args=(0.05,), daemon=True).start()
        try:
            assert check(smtp.server_address[1]) == USER
            with pytest.raises(AuthError):
                check(smtp.server_address[1], "wrong")
        finally:
            smtp.shutdown()


class _Smtp(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


class _SmtpSession(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(b"220 mail ready\r\n")
        while line := self.rfile.readline().strip():
            if line.upper().startswith(b"EHLO"):
                self.wfile.write(b"250-mail\r\n250 AUTH PLAIN\r\n")
            elif line.upper().startswith(b"AUTH PLAIN"):
                given = base64.b64decode(line.split()[2]).decode().split("\0")
                self.wfile.write(b"235 ok\r\n" if given[1:] == [USER, PASSWORD] else b"535 no\r\n")
            elif line.upper().startswith(b"QUIT"):
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                self.wfile.write(b"502 not known\r\n")
