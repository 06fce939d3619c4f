"""What can be done in Jira."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue

from integrations.providers.jira import jira
from integrations.providers.jira.client import call, page_of_issue, rows_of
from integrations.providers.jira.document import MAX_TEXT, document
from integrations.providers.jira.options import issue_types, priorities, projects
from integrations.sdk import InputError, RunContext, action, ui
from integrations.sdk.client import StepHttp
from integrations.words import gettext as _

MAX_SUMMARY: Final = 255
MAX_LABEL: Final = 255
_FOUND: Final = 20


def _one_line(value: object) -> object:
    """Jira takes no line breaks in a summary: they become spaces."""
    return " ".join(value.split()) if isinstance(value, str) else value


def _text(value: object) -> object:
    """An id that an expression gives as a number is taken as a text."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _labels(labels: list[str]) -> list[str]:
    for label in labels:
        if not label or len(label) > MAX_LABEL or any(map(str.isspace, label)):
            raise ValueError(
                _("a label has 1 to %(most)s characters and no spaces, unlike %(given)s")
                % {"most": MAX_LABEL, "given": repr(label[:60])}
            )
    return labels


class CreateIssueInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    project: Annotated[str, BeforeValidator(_text)] = Field(
        pattern=r"^([A-Za-z][A-Za-z0-9_]{0,254}|[0-9]{1,19})$",
        title="Project",
        description="Its key, or its id.",
        examples=["OPS"],
    )
    issue_type: Annotated[str, BeforeValidator(_text)] = Field(
        default="Task",
        min_length=1,
        max_length=255,
        title="Kind of issue",
        description="Its name in the project, or its id.",
        examples=["Bug", "Task"],
    )
    summary: Annotated[str, BeforeValidator(_one_line)] = Field(
        min_length=1, max_length=MAX_SUMMARY, title="Summary", examples=["The export is empty"]
    )
    description: str | None = Field(
        default=None,
        max_length=MAX_TEXT,
        title="Description",
        description="Plain text; an empty line begins a new paragraph.",
        examples=["Since this morning the export has no rows.\n\nReported by Ada."],
        json_schema_extra=ui(format="textarea"),
    )
    priority: str | None = Field(
        default=None, min_length=1, max_length=255, title="Priority", description="Its name.", examples=["High"]
    )
    assignee: str | None = Field(
        default=None,
        min_length=1,
        max_length=254,
        title="Assignee",
        description="A mail address, or the account's id.",
        examples=["ada@example.com"],
    )
    labels: Annotated[list[str], AfterValidator(_labels)] | None = Field(
        default=None, title="Labels", description="Without spaces.", examples=[["export", "customer"]]
    )
    parent: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z][A-Za-z0-9_]{0,254}-[0-9]{1,19}$",
        title="Parent",
        description="The key of the epic or issue that it is part of.",
        examples=["OPS-12"],
        json_schema_extra=ui(advanced=True),
    )
    due_date: str | None = Field(
        default=None,
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
        title="Due",
        description="A day.",
        examples=["2026-05-04"],
        json_schema_extra=ui(advanced=True),
    )
    fields: dict[str, JsonValue] | None = Field(
        default=None,
        title="Further fields",
        description="By their ids, as Jira describes them; they stand over those above.",
        examples=[{"customfield_10011": {"value": "Red"}, "components": [{"name": "Export"}]}],
        json_schema_extra=ui(format="json", advanced=True),
    )

    def payload(self, assignee_id: str | None) -> dict[str, Any]:
        """Return the body of the request."""
        own = {
            "project": _named(self.project, "key"),
            "issuetype": _named(self.issue_type, "name"),
            "summary": self.summary,
            "description": document(self.description or ""),
            "priority": {"name": self.priority} if self.priority else None,
            "assignee": {"accountId": assignee_id} if assignee_id else None,
            "labels": self.labels,
            "parent": {"key": self.parent} if self.parent else None,
            "duedate": self.due_date,
        }
        return {"fields": {**{name: value for name, value in own.items() if value}, **(self.fields or {})}}


def _named(value: str, name: str) -> dict[str, str]:
    """Return what names a thing: its id where it is a number, else its key or name."""
    return {"id" if value.isdigit() else name: value}


class CreateIssueOutput(BaseModel):
    model_config = ConfigDict(extra="allow", populate_by_name=True)

    id: str = Field(title="Id")
    key: str = Field(title="Key", description="Like OPS-128.")
    self_: str = Field(default="", alias="self", title="Address for programs")
    url: str = Field(title="Address", description="Where a person reads it.")


@action(
    provider=jira,
    key="jira.createIssue",
    name="Create issue",
    auth_type="basic",
    input_schema=CreateIssueInputs,
    output_schema=CreateIssueOutput,
    sample={
        "id": "10128",
        "key": "OPS-128",
        "self": "https://acme.atlassian.net/rest/api/3/issue/10128",
        "url": "https://acme.atlassian.net/browse/OPS-128",
    },
    idempotent=False,
    effect="create",
    options={"project": projects, "issue_type": issue_types, "priority": priorities},
    synonyms=("bug", "ticket", "task", "story", "report", "open", "new"),
    summary=lambda output: str(output["key"]),
)
async def create_issue(ctx: RunContext[CreateIssueInputs]) -> dict[str, Any]:
    """Open an issue in a project."""
    inputs = ctx.inputs
    assignee = inputs.assignee
    if assignee and "@" in assignee:
        assignee = await _account_of(ctx.http, assignee, inputs.project)
    response = await call(ctx.http, "POST", "issue", json=inputs.payload(assignee))
    made = response.json_object()
    if not isinstance(made.get("id"), str) or not isinstance(made.get("key"), str):
        raise response.unexpected()
    ctx.log(f"Opened {made['key']}")
    return {"self": "", **made, "url": page_of_issue(str(ctx.settings.get("site") or ""), made["key"])}


async def _account_of(http: StepHttp, mail: str, project: str) -> str:
    """Return the id of the one person with a mail address who may have issues of the project. Raises InputError.

    Atlassian shows nobody's address unless they want it; so one who is found by it and hides it is taken.
    """
    params = {"query": mail.strip(), "project": project, "maxResults": str(_FOUND)}
    response = await call(http, "GET", "user/assignable/search", params=params)
    found = rows_of(response, response.json(), "accountId")
    shown = [(row, str(row.get("emailAddress") or "").lower()) for row in found]
    named = [row for row, address in shown if address == mail.strip().lower()] or [row for row, own in shown if not own]
    if len(named) == 1:
        return str(named[0]["accountId"])
    told = {"mail": mail.strip(), "project": project}
    raise InputError(
        _("Nobody who may have issues of %(project)s is known by %(mail)s.") % told
        if not named
        else _("Several people of %(project)s are found by %(mail)s.") % told,
        field="assignee",
        hint=_("Give the account's id, which stands at the end of the address of a person's profile."),
    )
