"""E-mail by SMTP, against a server on this machine: what arrives, with whom, and what goes wrong."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from integrations.providers.email import smtp
from integrations.providers.email.account import account
from integrations.providers.email.actions import send
from integrations.sdk import (
    AuthContext,
    AuthError,
    InputError,
    IntegrationError,
    OutcomeUnknown,
    Permanent,
    Transient,
)
from integrations.sdk.auth import AuthView
from integrations.sdk.dialling import dialler
from integrations.sdk.egress import AddressRefused, EgressPolicy
from integrations.sdk.testing import run_action
from tests import imap_server
from tests.certificates import serving, trusting
from tests.certificates import written as certificate
from tests.smtp_server import PASSWORD, USER, SmtpServer

AUTH = {"username": USER, "password": PASSWORD}
MAIL = {"to": "bob@example.com", "subject": "Hi", "text": "Hello"}
HOST = "mail.example"


@pytest.fixture
def server() -> Iterator[SmtpServer]:
    with SmtpServer() as found:
        yield found


def dial(*, allow: tuple[str, ...] = ("127.0.0.1",)) -> Any:
    return dialler(EgressPolicy(allow=allow), egress_allow=(), deadline=datetime.now(UTC) + timedelta(seconds=5))


def sent(server: SmtpServer, **more: Any) -> dict[str, Any]:
    settings = {**server.settings, **more.pop("settings", {})}
    options = {"dial": dial(), "auth": AUTH, "seconds": 5}
    options |= {name: more.pop(name) for name in ("dial", "auth", "seconds", "idempotency_key") if name in more}
    found: dict[str, Any] = run_action(send, {**MAIL, **more}, settings=settings, **options).output
    return found


def failed(server: SmtpServer, **more: Any) -> IntegrationError:
    with pytest.raises(IntegrationError) as caught:
        sent(server, **more)
    assert PASSWORD not in f"{caught.value.hint}{caught.value.detail}"
    return caught.value


def arrived(server: SmtpServer) -> EmailMessage:
    (mail,) = server.mails
    assert mail.data.isascii()
    message = message_from_bytes(mail.data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def addresses(message: EmailMessage, name: str) -> list[str]:
    header: Any = message[name]
    return [address.addr_spec for address in header.addresses]


def test_a_mail_arrives_as_it_was_written_with_all_who_get_it(server: SmtpServer) -> None:
    text = "Zeile 1 – ü\n.\n..two\nFrom here\n" + "long " * 400
    output = sent(
        server,
        to=["Bob Lövelace <bob@example.com>", "eve@example.com"],
        subject="Grüße 🎉 an alle",
        text=text,
        html="<p>Hellö</p>",
        cc="team@example.com, bob@example.com",
        bcc="Hidden <secret@example.com>",
        reply_to="support@example.com",
        **{"from": "Shop <shop@example.com>"},
    )
    message, (mail,) = arrived(server), server.mails
    everybody = ("bob@example.com", "eve@example.com", "team@example.com", "secret@example.com")
    assert (mail.sender, mail.recipients) == ("shop@example.com", everybody)
    assert output == {
        "message_id": message["Message-ID"],
        "recipients": list(everybody),
        "response": "2.0.0 Ok: queued as 1",
    }
    assert (message["Subject"], message["Bcc"]) == ("Grüße 🎉 an alle", None)
    assert b"secret@example.com" not in mail.data
    assert addresses(message, "To") == ["bob@example.com", "eve@example.com"]
    assert addresses(message, "Reply-To") == ["support@example.com"]
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert plain.get_content().splitlines() == text.splitlines()
    assert html.get_content().strip() == "<p>Hellö</p>"
    assert message["Date"]


def test_a_mail_is_from_the_account_unless_it_says_otherwise(server: SmtpServer) -> None:
    sent(server, text="", html="<p>Only this</p>")
    message = arrived(server)
    assert (addresses(message, "From"), server.mails[0].sender) == ([USER], USER)
    assert message.get_content_type() == "text/html"
    no_address = {"auth": {"username": "ada", "password": PASSWORD}}
    assert failed(server, **no_address).field == "from"  # type: ignore[attr-defined]
    assert failed(server, **{"from": "a@x.com, b@x.com"}).kind == "input"
    assert failed(server, text="").field == "text"  # type: ignore[attr-defined]


def test_a_mail_that_is_tried_again_has_the_same_id(server: SmtpServer) -> None:
    ids = [sent(server, idempotency_key=key)["message_id"] for key in ("one", "one", "two")]
    assert ids[0] == ids[1] != ids[2]
    assert ids[0].endswith("@example.com>")


ENCODED = "=?utf-8?q?hi=0ABcc=3A_evil=40x.com?="


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("subject", "hi\r\nBcc: evil@x.com"),
        ("subject", ENCODED),
        ("subject", "separator\u2028Bcc: evil@x.com"),
        ("to", "a@x.com\nBcc: evil@x.com"),
        ("to", "a@x.com>\r\nRCPT TO:<evil@x.com"),
        ("to", f"{ENCODED} <a@x.com>"),
        ("to", "not an address"),
        ("cc", "c@x.com\r\nX-Evil: 1"),
        ("bcc", "b@x.com>\r\nDATA"),
        ("reply_to", f"{ENCODED} <a@x.com>"),
        ("from", "f@x.com\nBcc: evil@x.com"),
        ("text", "lone \udfff"),
    ],
)
def test_no_field_can_add_a_header_or_a_command(server: SmtpServer, field: str, value: str) -> None:
    error = failed(server, **{field: value})
    assert isinstance(error, InputError)
    assert error.field == field
    assert server.commands == []


@pytest.mark.parametrize(
    ("lies", "kind", "said"),
    [
        ({"AUTH": b"535 5.7.8 no\r\n"}, AuthError, "535 5.7.8 no"),
        ({"AUTH": b"454 4.7.0 later\r\n"}, Transient, "454 4.7.0 later"),
        ({"MAIL": b"530 5.7.0 sign in\r\n"}, AuthError, "sign in"),
        ({"MAIL": b"553 5.7.1 not your address\r\n"}, Permanent, "refused the sender ada@example.com: 5.7.1 not your"),
        ({"RCPT": b"450 4.2.0 greylisted\r\n"}, Transient, "refused bob@example.com, and nothing was sent"),
        ({"RCPT": b"550 5.1.1 unknown\r\n"}, Permanent, "refused bob@example.com, and nothing was sent"),
        ({"DATA": b"451 4.3.0 busy\r\n"}, Transient, "451 4.3.0 busy"),
        ({"DATA": b"554 5.5.1 no\r\n"}, Permanent, "554 5.5.1 no"),
        ({"DONE": b"452 4.3.1 full\r\n"}, Transient, "452 4.3.1 full"),
        ({"DONE": b"550 5.7.1 spam\r\n"}, Permanent, "550 5.7.1 spam"),
        ({"DONE": b""}, OutcomeUnknown, "had said whether"),
        ({"DONE": b"nonsense\r\n"}, OutcomeUnknown, "had said whether"),
        ({"DATA": b""}, Transient, "ended the conversation"),
        ({"RCPT": b""}, Transient, "ended the conversation"),
        ({"MAIL": b"421 4.3.2 closing\r\n"}, Transient, "closing"),
        ({"EHLO": b"250 mail\r\n"}, Permanent, "takes no sign-in"),
        ({"EHLO": b"250-mail\r\n" * 120_000}, Transient, "ended the conversation"),
    ],
)
def test_what_a_server_says_decides_what_comes_next(
    server: SmtpServer, lies: dict[str, bytes], kind: type[IntegrationError], said: str
) -> None:
    server.lies = lies
    error = failed(server)
    assert type(error) is kind
    assert said in error.message
    assert server.mails == []


def test_a_server_that_falls_silent_after_the_mail_leaves_an_unknown_outcome(server: SmtpServer) -> None:
    server.lies = {"DONE": b"250-nearly\r\n"}
    error = failed(server, seconds=0.5)
    assert (type(error), "same Message-ID" in error.hint) == (OutcomeUnknown, True)


def test_a_refused_recipient_is_named_and_nobody_else_gets_the_mail(server: SmtpServer) -> None:
    server.lies = {"RCPT TO:<EVE@EXAMPLE.COM>": b"550 5.1.1 no such user\r\n"}
    error = failed(server, to="bob@example.com, eve@example.com")
    assert "refused eve@example.com, and nothing was sent to anybody: 5.1.1 no such user" in error.message
    assert server.mails == []


def test_a_server_that_takes_less_than_the_mail_gets_none_of_it() -> None:
    with SmtpServer(offers=("SIZE 1000", "AUTH PLAIN")) as server:
        assert failed(server, text="x" * 2_000).kind == "input"
        assert not any(command.startswith("MAIL") for command in server.commands)
        sent(server)


def test_a_server_that_says_nonsense_of_sizes_gets_the_mail_and_one_that_repeats_a_sign_in_is_not_quoted(
    server: SmtpServer,
) -> None:
    server.lies = {"EHLO": b"250-mail\r\n250-SIZE \xb2\r\n250 AUTH PLAIN\r\n"}
    assert sent(server)["recipients"] == ["bob@example.com"]
    given = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode())
    server.lies |= {"AUTH": b"500 5.5.1 Command unrecognized: AUTH PLAIN " + given + b"\r\n"}
    error = failed(server)
    assert "Command unrecognized: AUTH PLAIN ••••" in error.message
    assert given.decode() not in f"{error.message}{error.hint}{error.detail}"


def test_a_server_that_knows_only_login_takes_ascii_alone() -> None:
    with SmtpServer(offers=("AUTH LOGIN",), password="ascii") as server:
        sent(server, auth={"username": USER, "password": "ascii"})
        assert type(failed(server)) is AuthError
        assert type(failed(server, auth={"username": USER, "password": "wrong"})) is AuthError


def test_only_addresses_that_steps_may_reach_are_connected_to(server: SmtpServer) -> None:
    assert type(failed(server, dial=dial(allow=()))) is AddressRefused
    assert server.commands == []
    with SmtpServer(greeting=b"HTTP/1.1 400 Bad Request\r\n\r\n") as other:
        assert "no server for outgoing mail" in failed(other).message


def dial_here(_host: str, port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=5)


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_nothing_is_said_in_the_clear_where_tls_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, security: str
) -> None:
    pem = certificate(tmp_path, HOST)
    with SmtpServer(tls=serving(pem), security=security) as server:
        there = {"host": HOST, "security": security}
        error = failed(server, settings=there, dial=dial_here)
        assert (type(error), "certificate of mail.example is not valid" in error.message) == (Permanent, True)
        assert "AUTH" not in server.commands
        monkeypatch.setattr(smtp, "trusted", lambda: trusting(pem))
        monkeypatch.setattr("integrations.providers.email.server.trusted", lambda: trusting(pem))
        sent(server, settings=there, dial=dial_here)
    assert len(server.mails) == 1
    assert ("STARTTLS" in server.commands[: server.commands.index("AUTH")]) == (security == "starttls")


@pytest.mark.parametrize("lies", [{}, {"EHLO": b"250-mail\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n"}])
def test_a_server_without_tls_gets_no_password(server: SmtpServer, lies: dict[str, bytes]) -> None:
    server.lies = {**lies, "STARTTLS": b"454 not now\r\n"}
    error = failed(server, settings={"security": "starttls"})
    assert (type(error), "No password was sent." in error.hint) == (Permanent, True)
    assert "AUTH" not in server.commands


def test_a_credential_may_name_a_server_for_each_direction() -> None:
    of_smtp = {"smtp_host": "smtp.example.com", "smtp_port": 465}
    imap = {"host": "imap.example.com", "port": 993, "security": "tls"}
    assert smtp.outgoing({**imap, **of_smtp}) == {"host": "smtp.example.com", "port": 465, "security": "tls"}
    assert smtp.outgoing({**imap, "smtp_host": "s"}) == {"host": "s", "port": 587, "security": "starttls"}
    assert smtp.outgoing({**imap, "smtp_port": 25, "smtp_security": "none"})["host"] == "imap.example.com"
    assert smtp.outgoing({"host": "smtp.example.com"}) == {"host": "smtp.example.com"}
    with pytest.raises(InputError, match="incoming mail alone"):
        smtp.outgoing(imap)


def test_a_credential_for_both_directions_is_checked_at_both(server: SmtpServer) -> None:
    with imap_server.ImapServer() as mailbox:
        mailbox_password = imap_server.PASSWORD
        settings = {**mailbox.settings, "smtp_host": "127.0.0.1", "smtp_port": server.port, "smtp_security": "none"}
        auth = AuthView(
            {"provider": "email", "type": "basic", "username": imap_server.USER, "password": mailbox_password}
        )
        context = AuthContext(auth=auth, http=None, settings=settings, dial=dial())  # type: ignore[arg-type]
        with pytest.raises(AuthError):
            asyncio.run(account(context))
    assert "AUTHENTICATE" in mailbox.commands
    assert "AUTH" in server.commands
