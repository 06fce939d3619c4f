"""What can be done in Linear."""

from __future__ import annotations

import hashlib
import uuid
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from integrations.providers.linear import linear
from integrations.providers.linear.client import GRAPHQL, ask, data_of, errors_of, refusal
from integrations.providers.linear.lookup import Ids, Names, ids_of, teams
from integrations.sdk import AuthError, RunContext, Transient, action, ui
from integrations.sdk.client import Response, StepHttp

_ISSUE: Final = "id identifier number title url"
CREATE: Final = (
    "mutation Create($input: IssueCreateInput!) { issueCreate(input: $input) { success issue { " + _ISSUE + " } } }"
)
READ: Final = "query Read($id: String!) { issue(id: $id) { " + _ISSUE + " } }"
_PRIORITIES: Final = {"none": 0, "urgent": 1, "high": 2, "medium": 3, "low": 4}
_ID: Final = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"


def _names(value: object) -> object:
    """Several names in a text are parted by commas."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


class CreateIssueInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    team: str = Field(min_length=1, max_length=255, title="Team", description="Its key, name or id.", examples=["ENG"])
    title: str = Field(min_length=1, max_length=512, title="Title", examples=["The export is empty"])
    description: str | None = Field(
        default=None,
        title="Description",
        description="Markdown.",
        examples=["Since this morning the export has no rows."],
        json_schema_extra=ui(format="textarea"),
    )
    priority: Literal["none", "urgent", "high", "medium", "low"] = Field(
        default="none",
        title="Priority",
        examples=["high"],
        json_schema_extra=ui(
            words={"none": "None", "urgent": "Urgent", "high": "High", "medium": "Medium", "low": "Low"}
        ),
    )
    assignee: str | None = Field(
        default=None,
        min_length=3,
        max_length=254,
        title="Assignee",
        description="A mail address, or the person's id.",
        examples=["ada@example.com"],
    )
    labels: Annotated[list[Annotated[str, Field(min_length=1, max_length=255)]], BeforeValidator(_names)] = Field(
        default=[], max_length=50, title="Labels", description="By name or id.", examples=[["Bug"]]
    )
    state: str | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        title="State",
        description="Its name or id; the team's first if left out.",
        examples=["Todo"],
        json_schema_extra=ui(advanced=True),
    )
    project_id: str | None = Field(
        default=None,
        pattern=_ID,
        title="Project",
        description="Its id.",
        examples=["3f1c2d4e-5a6b-4c7d-8e9f-0a1b2c3d4e5f"],
        json_schema_extra=ui(advanced=True),
    )
    parent_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        title="Parent",
        description="The id of an issue that this one is part of, or its name like ENG-12.",
        examples=["ENG-12"],
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

    def names(self) -> Names:
        return Names(
            team=self.team.strip(),
            assignee=(self.assignee or "").strip(),
            labels=self.labels,
            state=(self.state or "").strip(),
        )

    def payload(self, ids: Ids, issue_id: str) -> dict[str, Any]:
        """Return Linear's input; its id is ours, so that the same issue cannot be made twice."""
        given = {
            "description": self.description,
            "priority": _PRIORITIES[self.priority],
            "assigneeId": ids.assignee,
            "labelIds": ids.labels,
            "stateId": ids.state,
            "projectId": self.project_id,
            "parentId": self.parent_id,
            "dueDate": self.due_date,
        }
        optional = {name: value for name, value in given.items() if value}
        return {"id": issue_id, "teamId": ids.team, "title": self.title, **optional}


class CreateIssueOutput(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: str = Field(title="Id")
    identifier: str = Field(title="Name", description="Like ENG-128.")
    url: str = Field(title="Address", description="Where a person reads it.")
    title: str = Field(default="", title="Title")
    number: float = Field(default=0, title="Number", description="Counts within the team.")


@action(
    provider=linear,
    key="linear.createIssue",
    name="Create issue",
    auth_type="oauth2",
    accepted_auth=("oauth2", "api_key"),
    input_schema=CreateIssueInputs,
    output_schema=CreateIssueOutput,
    sample={
        "id": "9f2c4e6a-8b0d-4f1e-a3c5-7d9e1f3a5b7c",
        "identifier": "ENG-128",
        "number": 128,
        "title": "The export is empty",
        "url": "https://linear.app/acme/issue/ENG-128/the-export-is-empty",
    },
    # The issue's id is made of the step's key, and there is no second issue of one id.
    idempotent=True,
    effect="create",
    options={"team": teams},
    synonyms=("bug", "ticket", "task", "report", "open", "new"),
    summary=lambda output: str(output["identifier"]),
)
async def create_issue(ctx: RunContext[CreateIssueInputs]) -> dict[str, Any]:
    """Open an issue in a team."""
    issue_id = id_of(ctx.idempotency_key)
    if ctx.attempt > 1 and (known := await _read(ctx.http, issue_id)) is not None:
        ctx.log(f"{known['identifier']} was opened by an earlier attempt")
        return known
    ids = await ids_of(ctx.http, ctx.inputs.names())
    response = await ask(ctx.http, CREATE, {"input": ctx.inputs.payload(ids, issue_id)})
    made = data_of(response, "issueCreate")
    if made.get("success") is not True:
        raise response.unexpected()
    issue = _issue_in(made.get("issue"), response)
    ctx.log(f"Opened {issue['identifier']}")
    return issue


def id_of(key: str) -> str:
    """Return the id of the issue that a step makes: of version 4, which Linear insists on, and the same every time."""
    return str(uuid.UUID(bytes=hashlib.sha256(key.encode()).digest()[:16], version=4))


async def _read(http: StepHttp, issue_id: str) -> dict[str, Any] | None:
    """Return the issue of an id, None where there is none: Linear tells that as a wrong input."""
    body = {"query": READ, "variables": {"id": issue_id}}
    response = await http.post(GRAPHQL, json=body, idempotent=True)
    if not response.is_success or errors_of(response):
        error = refusal(response)
        if isinstance(error, AuthError | Transient) or not errors_of(response):
            raise error
        return None
    return _issue_in(data_of(response, "issue"), response)


def _issue_in(issue: object, response: Response) -> dict[str, Any]:
    """Return an issue that has what is promised of it. Raises the error of an unexpected answer."""
    if not isinstance(issue, dict) or any(not isinstance(issue.get(each), str) for each in ("id", "identifier", "url")):
        raise response.unexpected()
    return issue
