"""E-mail by IMAP under TLS, from the start and by STARTTLS: who is trusted, and that nothing is said in the clear."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from integrations.providers.email.account import account
from integrations.providers.email.client import opened
from integrations.providers.email.triggers import new_message
from integrations.sdk import AuthContext, Permanent
from integrations.sdk.auth import AuthView
from integrations.sdk.testing import run_poll
from tests.certificates import serving, trusting
from tests.certificates import written as certificate
from tests.imap_server import PASSWORD, USER, ImapServer

HOST = "mail.example"
AUTH = {"username": USER, "password": PASSWORD}


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    return certificate(tmp_path, HOST)


def dial(_host: str, port: int) -> socket.socket:
    """Connect to this machine, whatever the name."""
    return socket.create_connection(("127.0.0.1", port), timeout=5)


def subjects(server: ImapServer, tls: ssl.SSLContext | None, host: str = HOST, **more: Any) -> list[bytes]:
    settings = {**server.settings, "host": host, **more}
    with opened(dial, settings, AUTH, name="INBOX", writes=False, seconds=5, tls=tls) as mailbox:
        found = [mailbox.message(number, most=1_000) for number in mailbox.numbers_after(0)]
    return [raw.partition(b"\r\n")[0] for raw in found if raw is not None]


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_mailbox_is_read_under_tls(pem: Path, security: str) -> None:
    with ImapServer(tls=serving(pem), security=security) as server:
        server.deliver(b"Subject: hi\r\n\r\nHello")
        assert subjects(server, trusting(pem)) == [b"Subject: hi"]
    signed_in = server.commands.index("AUTHENTICATE")
    assert ("STARTTLS" in server.commands[:signed_in]) == (security == "starttls")


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_certificate_that_nobody_vouches_for_and_one_of_another_host_are_refused(pem: Path, security: str) -> None:
    with ImapServer(tls=serving(pem), security=security) as server:
        with pytest.raises(Permanent, match=r"certificate of mail\.example is not valid: self-signed certificate\."):
            subjects(server, None)
        with pytest.raises(Permanent, match=r"certificate of other\.example is not valid: Hostname mismatch") as raised:
            subjects(server, trusting(pem), "other.example")
    assert "Enter the name that the certificate is for" in raised.value.hint
    assert not any(command.startswith(("AUTHENTICATE", "LOGIN")) for command in server.commands)


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_the_trigger_and_the_check_of_a_credential_trust_only_known_authorities(pem: Path, security: str) -> None:
    with ImapServer(tls=serving(pem), security=security) as server:
        settings = {**server.settings, "host": HOST}
        with pytest.raises(Permanent, match="certificate of"):
            run_poll(new_message, {}, auth=AUTH, settings=settings, dial=dial, seconds=5)
        with pytest.raises(Permanent, match="certificate of"):
            checked(settings)


@pytest.mark.parametrize(
    ("lies", "said"),
    [
        ({}, "offers no STARTTLS"),
        ({"CAPABILITY": b"* CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN\r\n{tag} OK done\r\n"}, "does not go on with it"),
    ],
)
def test_a_server_that_goes_on_without_tls_gets_no_password(pem: Path, lies: dict[str, bytes], said: str) -> None:
    with ImapServer() as server:
        server.lies = lies
        with pytest.raises(Permanent, match=said) as raised:
            subjects(server, trusting(pem), security="starttls")
        with pytest.raises(Permanent, match=said):
            checked({**server.settings, "host": HOST, "security": "starttls"})
        assert "No password was sent." in raised.value.hint
        server.greeting = b"* PREAUTH come in\r\n"
        with pytest.raises(Permanent):
            subjects(server, trusting(pem), security="starttls")
    assert not any(command.startswith(("AUTHENTICATE", "LOGIN")) for command in server.commands)


def test_a_server_that_speaks_no_tls_is_told(pem: Path) -> None:
    with ImapServer() as server, pytest.raises(Permanent, match=r"No secure connection to mail\.example"):
        subjects(server, trusting(pem), security="tls")


def test_what_is_said_before_tls_begins_counts_for_nothing(pem: Path) -> None:
    with ImapServer(tls=serving(pem), security="starttls") as server:
        server.deliver(b"Subject: hi\r\n\r\nHello")
        server.greeting = b"* OK ready\r\n* OK [UIDVALIDITY 99]\r\n* SEARCH 5\r\n"
        settings = {**server.settings, "host": HOST}
        with opened(dial, settings, AUTH, name="INBOX", writes=False, seconds=5, tls=trusting(pem)) as mailbox:
            assert (mailbox.validity, mailbox.numbers_after(0)) == (7, [1])


def checked(settings: dict[str, Any]) -> str:
    auth = AuthView({"provider": "email", "type": "basic", **AUTH})
    context = AuthContext(auth=auth, http=None, settings=settings, dial=dial)  # type: ignore[arg-type]
    return asyncio.run(account(context)).label
