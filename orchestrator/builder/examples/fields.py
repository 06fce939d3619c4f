"""One field of every kind, for the reference: the form beside each is made from it."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from integrations.sdk import ui

_CURRENCIES = Literal["AUD", "CHF", "EUR", "GBP", "JPY", "NOK", "SEK", "USD"]


class EveryField(BaseModel):
    title: str = Field(title="Title", description="One line of text.", examples=["Invoice 17"])
    body: str = Field("", title="Body", json_schema_extra=ui(format="textarea"))
    query: str = Field("", title="Query", examples=["SELECT 1"], json_schema_extra=ui(format="code"))
    page: str = Field("", title="Page", examples=["<p>Hello</p>"], json_schema_extra=ui(format="html"))
    due: str = Field("", title="Due", examples=["2026-03-01T09:00:00Z"], json_schema_extra=ui(format="date-time"))
    link: str = Field("", title="Link", examples=["https://example.com"], json_schema_extra=ui(format="uri"))
    address: str = Field("", title="Address", examples=["ada@example.com"], json_schema_extra=ui(format="email"))
    days: int = Field(1, ge=1, le=7, title="Days ahead")
    price: float = Field(0.0, ge=0, title="Price")
    urgent: bool = Field(False, title="Urgent")
    size: Literal["small", "large"] = Field("small", title="Size")
    seats: Literal["few", "many"] = Field(
        "few", title="Seats", json_schema_extra=ui(words={"few": "Up to ten", "many": "More than ten"})
    )
    currency: _CURRENCIES = Field("EUR", title="Currency", description="More than five choices are a list.")
    labels: list[str] = Field(default=[], title="Labels", examples=[["new", "gold"]])
    headers: dict[str, str] = Field(default={}, title="Headers")
    payload: dict[str, Any] = Field(
        default={}, title="Payload", examples=[{"id": 17}], json_schema_extra=ui(format="json")
    )
    token: str = Field("", title="Token", description="Kept in the vault.", json_schema_extra=ui(secret=True))
    note: str = Field("", title="Note", json_schema_extra=ui(advanced=True))
