"""A charset that a stranger names is read by, or not, and never costs more than the text is worth."""

from __future__ import annotations

import time

import pytest

from integrations.builtin.http_answers import read
from integrations.providers.email.message import parse
from integrations.providers.rss import feed
from integrations.sdk import charsets
from integrations.sdk.client import Answer, Response
from tests.sdk.test_response import REQUEST

SLOW = b"<rss><channel><title>" + b"b" * 300_000 + b"</title></channel></rss>"


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        ("né".encode("latin-1"), "ISO-8859-1", "né"),
        ("né".encode(), "no-such-thing", "né"),
        ("né".encode(), "", "né"),
        ("né".encode(), "a\0b", "né"),
        ("né".encode(), "ä", "né"),
        (b"61", "hex", "61"),
        (b"ab-k", "punycode", "ab-k"),
        (b"xn--nxa", "IDNA", "xn--nxa"),
        (b"\xff", "undefined", "\ufffd"),
        (b"\xff", "utf-8", "\ufffd"),
    ],
)
def test_text_is_read_by_the_charset_that_is_named_or_as_utf_8(data: bytes, charset: str, text: str) -> None:
    assert charsets.decoded(data, charset) == text


@pytest.mark.parametrize("charset", ["punycode", "Punycode", "PUNY-CODE", "idna"])
def test_no_answer_feed_or_mail_takes_longer_to_read_than_it_is_worth(charset: str) -> None:
    began = time.process_time()
    kind = f"text/plain; charset={charset}"
    response = Response.of(Answer(200, [(b"Content-Type", kind.encode())], SLOW), REQUEST)
    assert response.text == SLOW.decode()
    assert read(response, "text") == SLOW.decode()
    assert len(feed.parse(SLOW, content_type=f"text/xml; charset={charset}").title) > 10_000
    declared = f"<?xml version='1.0' encoding='{charset}'?>".encode() + SLOW
    assert len(feed.parse(declared).title) > 10_000
    mail = parse(f"Content-Type: {kind}\r\n\r\n".encode() + SLOW, mailbox="INBOX", uid=1)
    assert mail.text == SLOW.decode()
    assert time.process_time() - began < 2
