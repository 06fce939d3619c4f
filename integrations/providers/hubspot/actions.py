"""What can be done in HubSpot."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from integrations.providers.hubspot import hubspot
from integrations.providers.hubspot.client import CONTACTS_PATH, contact_path, error_of, refusal
from integrations.sdk import RunContext, Transient, action, ui
from integrations.sdk.client import Response, StepHttp
from integrations.words import gettext as _

_NAME: Final = re.compile(r"[a-z0-9_]{1,100}")
_EXISTING: Final = re.compile(r"Existing ID: (\d{1,20})")
_BY_EMAIL: Final = {"idProperty": "email"}
# What says who it is: it finds the contact and changes nothing of one that is there.
_EMAIL: Final = "email"


def _value(value: object) -> object:
    """HubSpot takes texts alone: numbers and booleans are written out, several choices are joined by a semicolon."""
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ";".join(value)
    return value


def _values(value: object) -> object:
    return {name: _value(part) for name, part in value.items()} if isinstance(value, dict) else value


def _named(properties: dict[str, str | None]) -> dict[str, str | None]:
    for name in properties:
        if name == _EMAIL:
            raise ValueError(_("give the mail address in its own field"))
        if not _NAME.fullmatch(name):
            raise ValueError(
                _("%(given)s is no internal name of a property, like lifecyclestage") % {"given": repr(name[:60])}
            )
    return properties


Text = Annotated[str | None, BeforeValidator(_value)]


class UpsertContactInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    email: str = Field(
        min_length=3,
        max_length=254,
        pattern=r"^\s*[^\s@,;<>]+@[^\s@,;<>]+\s*$",
        title="Mail address",
        description="Finds the contact, or makes it.",
        examples=["ada@example.com"],
    )
    firstname: Text = Field(default=None, title="First name", examples=["Ada"])
    lastname: Text = Field(default=None, title="Last name", examples=["Lovelace"])
    phone: Text = Field(default=None, title="Phone", examples=["+4915112345678"])
    company: Text = Field(default=None, title="Company", examples=["Analytical Engines"])
    jobtitle: Text = Field(
        default=None, title="Job title", examples=["Mathematician"], json_schema_extra=ui(advanced=True)
    )
    website: Text = Field(
        default=None, title="Website", examples=["https://example.com"], json_schema_extra=ui(advanced=True)
    )
    lifecyclestage: Text = Field(
        default=None,
        title="Lifecycle stage",
        description="Its internal name.",
        examples=["lead"],
        json_schema_extra=ui(advanced=True),
    )
    properties: Annotated[dict[str, str | None], BeforeValidator(_values), AfterValidator(_named)] | None = Field(
        default=None,
        title="Further properties",
        description="By their internal names. An empty text clears one, null leaves it as it is.",
        examples=[{"hs_lead_status": "NEW", "lead_score": "42"}],
    )

    @property
    def address(self) -> str:
        return self.email.strip().lower()

    def changes(self) -> dict[str, str]:
        """Return the properties to set, without the address."""
        own = self.model_dump(exclude={"email", "properties"})
        return {name: value for name, value in {**own, **(self.properties or {})}.items() if value is not None}


class UpsertContactOutput(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: str = Field(title="Contact id")
    created: bool = Field(title="New", description="Whether the contact was made just now.")
    properties: dict[str, str | None] = Field(title="Properties", description="By their internal names.")


@action(
    provider=hubspot,
    key="hubspot.upsertContact",
    name="Create or update contact",
    auth_type="oauth2",
    input_schema=UpsertContactInputs,
    output_schema=UpsertContactOutput,
    sample={
        "id": "512",
        "created": True,
        "properties": {"email": "ada@example.com", "firstname": "Ada", "lastname": "Lovelace"},
        "createdAt": "2026-03-02T09:30:00.000Z",
        "updatedAt": "2026-03-02T09:30:00.000Z",
        "archived": False,
    },
    # The same values make the same contact, and no two contacts have one address.
    idempotent=True,
    effect="update",
    synonyms=("add", "lead", "person", "crm", "customer", "save", "upsert"),
    summary=lambda output: f"{'new' if output['created'] else 'updated'}, contact {output['id']}",
)
async def upsert_contact(ctx: RunContext[UpsertContactInputs]) -> dict[str, Any]:
    """Update the contact with a mail address, or make it where there is none.

    One request to ``batch/upsert`` would do, but HubSpot says that with ``idProperty=email`` it takes no partial
    upserts: a step that sets the phone alone has to leave the rest of a contact as it is, which an update does.
    """
    address, changes = ctx.inputs.address, ctx.inputs.changes()
    response = await _set(ctx.http, address, changes, _BY_EMAIL)
    created = response is None
    if response is None:
        response = await _make(ctx.http, address, changes)
    if response.status_code == 409:
        # Somebody else made it between the two requests, or an attempt of ours whose answer was lost; and an address
        # that is a contact's second one finds it here alone.
        created, response = False, await _set(ctx.http, _existing(response), changes)
        if response is None:
            raise Transient(_("HubSpot has the contact and does not find it: it was changed at this very moment."))
    contact = response.json_object()
    if not isinstance(contact.get("id"), str) or not isinstance(contact.get("properties"), dict):
        raise response.unexpected()
    ctx.log(f"{'Made' if created else 'Updated'} contact {contact['id']}")
    return {**contact, "created": created}


async def _set(
    http: StepHttp, key: str, changes: dict[str, str], query: Mapping[str, str] | None = None
) -> Response | None:
    """Change a contact, or read it where there is nothing to change; None where HubSpot knows none by this key."""
    path = contact_path(key)
    if changes:
        response = await http.patch(path, params=query, json={"properties": changes}, idempotent=True)
    else:
        response = await http.get(path, params=query)
    if response.is_success:
        return response
    if response.status_code == 404 and error_of(response):
        return None
    raise refusal(response)


async def _make(http: StepHttp, address: str, changes: dict[str, str]) -> Response:
    """Make a contact; an answer of 409, where HubSpot has one of that address, is returned, too."""
    body = {"properties": {_EMAIL: address, **changes}, "associations": []}
    response = await http.post(CONTACTS_PATH, json=body, idempotent=True)
    if response.status_code == 409 and error_of(response):
        return response
    if response.is_success:
        return response
    raise refusal(response)


def _existing(response: Response) -> str:
    """Return the id that HubSpot's refusal to make another names. Raises the refusal where it names none."""
    found = _EXISTING.search(str(error_of(response).get("message")))
    if found is None:
        raise refusal(response)
    return found[1]
