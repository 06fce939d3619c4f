"""What the forms of actions that send a mail have in common: a field's name, help, examples and place.

    cc: Cc = ""
    subject: Subject[str] = Field(max_length=255)

A service's own limits, and its own words where it has some, stand with its action.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, TypeVar

from pydantic import Field

from integrations.addresses import Addresses
from integrations.sdk.fields import ui

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_T = TypeVar("_T")

To = Annotated[
    Addresses,
    Field(
        title="To",
        description="One or more addresses, separated by commas.",
        examples=["ada@example.com", "Ada Lovelace <ada@example.com>, bob@example.com"],
    ),
]
From = Annotated[str, Field(alias="from", title="From", examples=["Shop <shop@example.com>"])]
Cc = Annotated[Addresses, Field(title="Cc", examples=["team@example.com"], json_schema_extra=ui(advanced=True))]
Bcc = Annotated[Addresses, Field(title="Bcc", examples=["archive@example.com"], json_schema_extra=ui(advanced=True))]
ReplyTo = Annotated[
    _T,
    Field(
        title="Reply to",
        description="Where answers go, if not to the sender.",
        examples=["support@example.com"],
        json_schema_extra=ui(advanced=True),
    ),
]
Subject = Annotated[_T, Field(title="Subject", examples=["Your order is on its way"])]
Text = Annotated[
    _T,
    Field(
        title="Message",
        description="Plain text.",
        examples=["Hello Ada,\n\nit left today."],
        json_schema_extra=ui(format="textarea"),
    ),
]
Html = Annotated[
    _T,
    Field(
        title="Message as HTML",
        examples=["<p>Hello Ada,</p><p>it left today.</p>"],
        json_schema_extra=ui(format="html", advanced=True),
    ),
]
BESIDE_TEXT: Final = "Shown in place of the plain text where the reader can."


def check_one_line(subject: str) -> str:
    """Return a subject. Raises ValueError for one that is more than a line of text."""
    if _CONTROL.search(subject):
        raise ValueError("the subject has a line break or control character")
    return subject
